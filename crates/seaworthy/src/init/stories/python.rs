//! Projects in Python.

use super::tell;

#[test]
fn fastapi() {
    let main = "import os\nfrom fastapi import FastAPI\n\n# app = FastAPI()\napp = FastAPI(title=\"x\")\n\n@app.get(\"/health\")\ndef health():\n    return os.environ[\"DATABASE_URL\"]\n";
    let story = tell(&[
        ("pyproject.toml", "[project]\ndependencies = [\"fastapi\", \"uvicorn[standard]\"]\n"),
        ("app/__init__.py", ""),
        ("app/main.py", main),
    ]);
    assert_eq!(story.stack, "FastAPI");
    assert_eq!(story.reasons, "fastapi in pyproject.toml, app `app` in app/main.py:5");
    let command = "uvicorn app.main:app --host 127.0.0.1 --port $PORT --proxy-headers --forwarded-allow-ips 127.0.0.1";
    assert_eq!((story.command.as_str(), story.health.as_str()), (command, "/health"));
    assert_eq!((story.scheme.as_str(), story.client.as_str()), ("right", "right"));
    assert!(story.config.contains("\nhealth = \"/health\"\n"), "{}", story.config);
    assert!(story.example.contains("\n# app/main.py:9\nDATABASE_URL=\n"), "{}", story.example);
}

#[test]
fn fastapi_in_other_shapes() {
    let plain = "from fastapi import FastAPI\nimport db\napp = FastAPI()\n@router.get('/health')\ndef f(): ...\n";
    let story = tell(&[
        ("requirements.txt", "fastapi\nuvicorn\n"),
        ("src/api/main.py", plain),
        ("src/api/db.py", ""),
        (".venv/bin/uvicorn", ""),
    ]);
    assert!(
        story.command.starts_with(".venv/bin/uvicorn main:app ") && story.command.ends_with(" --app-dir src/api"),
        "{}",
        story.command
    );
    assert_eq!(story.health, "/health?");
    assert!(story.config.contains("\n# health = \"/health\"\n"), "{}", story.config);
    let factory = "from fastapi import FastAPI\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n";
    let story = tell(&[
        ("pyproject.toml", "[project]\ndependencies = [\"fastapi[standard]\"]\n"),
        ("uv.lock", ""),
        ("src/shop/__init__.py", ""),
        ("src/shop/web.py", factory),
    ]);
    assert!(story.command.starts_with("uv run uvicorn shop.web:create_app "), "{}", story.command);
    assert!(story.command.ends_with(" --app-dir src --factory"), "{}", story.command);
    let story = tell(&[("main.py", "import fastapi\napi = fastapi.FastAPI()\n")]);
    assert!(story.command.starts_with("uvicorn main:api "), "{}", story.command);
    assert!(story.notes.contains("uvicorn is not among the dependencies"), "{}", story.notes);
    let story =
        tell(&[("requirements.txt", "fastapi\nuvicorn"), ("tables.py", "def build_mapping():\n    FastAPI()\n")]);
    assert_eq!(story.others, ["FastAPI in : nothing says how to start it"]);
    // The Procfile decides between two apps.
    let two = [
        ("requirements.txt", "fastapi\nuvicorn"),
        ("main.py", "app = FastAPI()\n"),
        ("admin.py", "site = FastAPI()\n"),
    ];
    assert!(tell(&two).command.starts_with("uvicorn main:app "));
    let story = tell(&[two[0], two[1], two[2], ("Procfile", "web: uvicorn admin:site --port $PORT\n")]);
    assert!(story.command.starts_with("uvicorn admin:site "), "{}", story.command);
}

#[test]
fn flask() {
    let app = "from flask import Flask\napp = Flask(__name__)\n@app.route('/healthz')\ndef f(): return ''\n";
    let story = tell(&[("requirements.txt", "Flask==3\ngunicorn\n"), ("app.py", app)]);
    assert_eq!(story.stack, "Flask");
    assert_eq!(story.command, "gunicorn app:app --bind 127.0.0.1:$PORT --forwarded-allow-ips 127.0.0.1 --threads 4");
    assert_eq!((story.scheme.as_str(), story.health.as_str()), ("right", "/healthz"));
    assert!(
        story.client.starts_with("app.py: ") && story.client.contains("app.wsgi_app = ProxyFix(app.wsgi_app"),
        "{}",
        story.client
    );
    assert!(!story.client.contains("inside"), "{}", story.client);
    let fixed = format!("{app}app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)\n");
    assert_eq!(tell(&[("requirements.txt", "flask\ngunicorn"), ("app.py", &fixed)]).client, "right");
    let factory = "from flask import Flask\ndef create_app(config=None):\n    app = Flask(__name__)\n    return app\n";
    let story = tell(&[("requirements.txt", "flask\ngunicorn"), ("shop/__init__.py", factory)]);
    assert!(story.command.starts_with("gunicorn \"shop:create_app()\" "), "{}", story.command);
    assert!(story.client.contains("(inside create_app(), before it returns app)"), "{}", story.client);
    let story = tell(&[("Pipfile", "[packages]\nflask = \"*\"\n"), ("web/app.py", app)]);
    assert_eq!(story.command, "pipenv run flask --app web/app.py run --host 127.0.0.1 --port $PORT");
    assert!(story.notes.contains("development server"));
}

const SETTINGS: &str = "import os\nSECRET_KEY = os.environ.get('SECRET_KEY', 'insecure')\nDEBUG = os.getenv('DEBUG', '0')\nINSTALLED_APPS = []\nMIDDLEWARE = []\n";

#[test]
fn django() {
    let files = [
        ("requirements.txt", "Django>=5\ngunicorn\n"),
        ("manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n"),
        ("site1/__init__.py", ""),
        ("site1/settings.py", SETTINGS),
        ("site1/urls.py", "urlpatterns = [path('admin/', a), path('health/', b)]\n"),
        ("site1/wsgi.py", "application = get_wsgi_application()\n"),
        ("site1/asgi.py", "application = get_asgi_application()\n"),
    ];
    let story = tell(&files);
    assert_eq!(story.stack, "Django");
    assert!(story.command.starts_with("gunicorn site1.wsgi:application "), "{}", story.command);
    assert_eq!(story.health, "/health/");
    assert_eq!(story.scheme, "right", "gunicorn tells it");
    assert!(story.client.starts_with("site1/settings.py: a middleware"), "{}", story.client);
    assert!(story.example.contains("\n# secret; site1/settings.py:2\nSECRET_KEY=\n"), "{}", story.example);
    assert!(story.example.contains("\nDEBUG=0\n") && !story.example.contains("DJANGO_SETTINGS_MODULE"));
    let mut files = files;
    files[0].1 = "django\nuvicorn\n";
    let story = tell(&files);
    assert!(story.command.starts_with("uvicorn site1.asgi:application "), "{}", story.command);
    assert_eq!(story.client, "right");
    files[0].1 = "django\n";
    let story = tell(&files);
    assert_eq!(story.command, "python manage.py runserver --noreload 127.0.0.1:$PORT");
    assert_eq!(story.scheme, "site1/settings.py: SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")");
}
