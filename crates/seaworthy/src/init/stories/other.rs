//! Projects in other languages, folders of files, and folders with several projects or none.

use std::path::Path;

use super::{is_valid, tell};

#[test]
fn rails() {
    let files = [
        ("Gemfile", "gem \"rails\", \"~> 8.0\"\ngem \"puma\"\n"),
        ("bin/rails", ""),
        ("config/puma.rb", "port ENV.fetch(\"PORT\", 3000)\nthreads ENV.fetch(\"RAILS_MAX_THREADS\", 3)\n"),
        ("config/routes.rb", "Rails.application.routes.draw do\n  get \"up\" => \"rails/health#show\"\nend\n"),
        ("config/database.yml", "production:\n  url: <%= ENV[\"DATABASE_URL\"] %>\n"),
    ];
    let story = tell(&files);
    assert_eq!((story.stack.as_str(), story.health.as_str(), story.client.as_str()), ("Rails", "/up", "right"));
    assert!(story.command.starts_with("bundle exec puma "), "{}", story.command);
    assert!(
        story.example.contains("DATABASE_URL=\n") && story.example.contains("RAILS_MAX_THREADS=3\n"),
        "{}",
        story.example
    );
}

#[test]
fn go() {
    let module = |requires: &str| format!("module example.com/a\n\ngo 1.24\n\n{requires}\n");
    let plain = "package main\n\nfunc main() {\n\tmux.HandleFunc(\"GET /healthz\", f)\n\thttp.ListenAndServe(\":\"+os.Getenv(\"PORT\"), mux)\n}\n";
    let story = tell(&[
        ("go.mod", &module("")),
        ("cmd/tool/main.go", "package main\n\nfunc main() {}\n"),
        ("cmd/web/main.go", plain),
    ]);
    assert_eq!(
        (story.stack.as_str(), story.command.as_str(), story.health.as_str()),
        ("Go net/http", "go run ./cmd/web", "/healthz")
    );
    assert!(story.client.starts_with("cmd/web/main.go: reading the headers"), "{}", story.client);
    let of = |requires: &str, code: &str| {
        let main = format!("package main\n\nfunc main() {{\n\t{code}\n}}\n");
        tell(&[("go.mod", &module(requires)), ("main.go", &main)])
    };
    let story =
        of("require github.com/gin-gonic/gin v1.10.0", "router := gin.Default()\n\thttp.ListenAndServe(a, router)");
    assert_eq!((story.stack.as_str(), story.command.as_str()), ("Gin", "go run ."));
    assert!(story.client.contains("SetTrustedProxies"));
    assert_eq!(of("require github.com/labstack/echo/v4 v4.13.0", "e := echo.New()").stack, "Echo");
    let story = of("require github.com/go-chi/chi/v5 v5.2.0", "r := chi.NewRouter()\n\tr.Use(middleware.RealIP)");
    assert_eq!((story.stack.as_str(), story.client.as_str()), ("chi", "right"));
    assert_eq!(
        tell(&[("go.mod", &module("")), ("main.go", "package main\n\nfunc main() {}\n")]).stack,
        "",
        "a program of another kind"
    );
}

#[test]
fn rust() {
    let manifest = "[package]\nname = \"shop\"\n[dependencies]\naxum = \"0.8\"\n";
    let main = "fn main() {\n    let app = Router::new().route(\"/healthz\", get(f));\n    axum::serve(listener, app);\n    env::var(\"PORT\");\n}\n";
    let story = tell(&[("Cargo.toml", manifest), ("src/main.rs", main)]);
    assert_eq!(
        (story.stack.as_str(), story.command.as_str(), story.health.as_str()),
        ("axum", "cargo run --release --quiet", "/healthz")
    );
    assert!(story.notes.contains("target/release/shop"), "{}", story.notes);
    let manifest = manifest.replace("axum = \"0.8\"", "actix-web = \"4\"");
    let story = tell(&[("Cargo.toml", &manifest), ("src/main.rs", "async fn main() {\n    HttpServer::new(f)\n}\n")]);
    assert_eq!((story.stack.as_str(), story.scheme.as_str()), ("Actix Web", "right"));
}

#[test]
fn folders_of_files() {
    let vite = ("package.json", r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}"#);
    let story = tell(&[vite, ("index.html", ""), ("src/main.ts", "import.meta.env.VITE_API_URL ?? '/api'\n")]);
    assert_eq!((story.stack.as_str(), story.site.as_str()), ("Vite", "dist"));
    assert!(
        story.config.contains("[[route]]\nmatch = \"/*\"\nfiles = { root = \"dist\", spa = true }\n"),
        "{}",
        story.config
    );
    assert!(story.notes.contains("`npm run build` makes it"), "{}", story.notes);
    assert!(story.example.contains("VITE_API_URL=/api\n"));
    let story =
        tell(&[vite, ("vite.config.ts", "export default { build: { outDir: 'www' } }\n"), ("www/index.html", "")]);
    assert_eq!((story.site.as_str(), story.notes.as_str()), ("www", ""));
    let story = tell(&[("package.json", r#"{"dependencies": {"react-scripts": "5"}}"#), ("public/index.html", "")]);
    assert_eq!((story.stack.as_str(), story.site.as_str()), ("Create React App", "build"));
    for folder in ["dist", "build", "out", "public"] {
        let story = tell(&[(&format!("{folder}/index.html"), "")]);
        assert_eq!((story.stack.as_str(), story.site.as_str()), ("static files", folder));
        assert!(story.config.contains("spa = false"));
    }
    let beside = tell(&[("index.html", "")]);
    assert_eq!(beside.site, "public");
    assert!(beside.config.contains("root = \"public\"") && beside.notes.contains("move index.html into public/"));
    assert_eq!(beside.next, "mkdir -p public && mv index.html public/ && seaworthy run");
}

#[test]
fn stacks_that_only_say_how_they_start() {
    let story = tell(&[("Procfile", "web: bin/server -p $PORT\n"), ("mix.exs", "")]);
    assert_eq!(
        (story.stack.as_str(), story.command.as_str(), story.client.as_str()),
        ("Procfile", "bin/server -p $PORT", "unknown")
    );
    let story = tell(&[("Dockerfile", "FROM x\nCMD [\"/app/server\"]\n")]);
    assert_eq!((story.stack.as_str(), story.command.as_str()), ("Dockerfile", "/app/server"));
    assert!(story.notes.contains("those of the container"));
}

#[test]
fn several_apps() {
    let story = tell(&[
        ("frontend/package.json", r#"{"devDependencies": {"vite": "7"}}"#),
        ("backend/requirements.txt", "fastapi\nuvicorn\n"),
        ("backend/main.py", "app = FastAPI()\n"),
        ("backend/.venv/bin/uvicorn", ""),
        ("examples/hello/requirements.txt", "flask\n"),
        ("examples/hello/app.py", "app = Flask(__name__)\n"),
    ]);
    assert_eq!((story.stack.as_str(), story.folder.as_str()), ("FastAPI", "backend"));
    assert!(
        story
            .command
            .starts_with("sh -c 'cd backend && exec .venv/bin/uvicorn main:app --host 127.0.0.1 --port $PORT "),
        "{}",
        story.command
    );
    assert_eq!(
        story.others,
        [
            "Flask in examples/hello: its folder looks like one of examples or tests",
            "Vite in frontend: an app goes before a folder of files"
        ]
    );
    // A virtual environment above serves too, and a broken manifest is named.
    let story = tell(&[
        ("api/requirements.txt", "fastapi\nuvicorn\n"),
        ("api/main.py", "app = FastAPI()\n"),
        (".venv/bin/uvicorn", ""),
        ("package.json", "{"),
    ]);
    assert!(story.command.contains("exec ../.venv/bin/uvicorn main:app"), "{}", story.command);
    assert!(story.notes.contains("package.json cannot be read"), "{}", story.notes);
}

#[test]
fn nothing() {
    let story = tell(&[("README.md", "FastAPI"), ("a.py", "# app = FastAPI()\n'''\napp = FastAPI()\n'''\n")]);
    assert_eq!(story.stack, "");
    is_valid(&story.config);
}

#[test]
fn a_missing_program_of_an_environment_is_named() {
    let story =
        tell(&[("requirements.txt", "fastapi\nuvicorn\n"), ("main.py", "app = FastAPI()\n"), (".venv/bin/python", "")]);
    assert!(story.notes.contains(".venv has no uvicorn: install it there"), "{}", story.notes);
}

#[test]
fn a_library_of_a_framework_is_no_app() {
    let story = tell(&[
        ("crates/web/Cargo.toml", "[dependencies]\naxum = \"0.8\"\n"),
        ("crates/web/src/lib.rs", "pub fn serve() { axum::serve(a, b); }\n"),
        ("crates/shop/Cargo.toml", "[dependencies]\naxum = \"0.8\"\n"),
        ("crates/shop/src/main.rs", "fn main() {}\n"),
    ]);
    assert_eq!((story.folder.as_str(), story.others.len()), ("crates/shop", 0), "{:?}", story.others);
}

/// Names as hostile as they come: the config is TOML all the same, and its command one that can be started.
#[test]
fn the_config_is_right_whatever_folders_are_called() {
    for name in ["it's", "a b", "a\"b", "$PORT", "ümlaut", "a;b", "{app}", "#"] {
        let story = tell(&[
            (&format!("{name}/requirements.txt"), "flask\ngunicorn"),
            (&format!("{name}/app.py"), "app = Flask(__name__)\n"),
        ]);
        assert_eq!(story.stack, "Flask", "{name}");
        assert!(seaworthy_deploy::Command::parse(&story.command).is_ok(), "{}", story.command);
        let story = tell(&[
            (&format!("{name}/index.js"), "const app = express()\n"),
            ("package.json", r#"{"dependencies": {"express": "5"}}"#),
        ]);
        assert!(seaworthy_deploy::Command::parse(&story.command).is_ok(), "{}", story.command);
        assert_eq!(
            tell(&[(&format!("{name}/package.json"), r#"{"devDependencies": {"vite": "7"}}"#)]).site,
            Path::new(name).join("dist").to_str().unwrap()
        );
    }
}
