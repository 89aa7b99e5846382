//! The code that makes each stack believe the forwarded headers is found where it is, and not where it is only talked of.

use super::tell;

/// Manifest, file, code without the setting, and the setting.
const SETTINGS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "requirements.txt",
        "fastapi\nhypercorn",
        "main.py",
        "app = FastAPI()\n",
        "app.add_middleware(ProxyHeadersMiddleware, trusted_hosts='127.0.0.1')\n",
    ),
    (
        "requirements.txt",
        "django\ngunicorn",
        "shop/wsgi.py",
        "application = get_wsgi_application()\n",
        "request.META['REMOTE_ADDR'] = request.META['HTTP_X_FORWARDED_FOR']\n",
    ),
    (
        "package.json",
        r#"{"dependencies": {"@nestjs/core": "11"}}"#,
        "src/main.ts",
        "const app = await NestFactory.create(AppModule)\n",
        "app.set('trust proxy', 'loopback')\n",
    ),
    (
        "package.json",
        "{}",
        "server.js",
        "http.createServer(handle).listen(1)\n",
        "const client = request.headers['x-forwarded-for']\n",
    ),
    (
        "go.mod",
        "module a\n",
        "main.go",
        "func main() {\nhttp.ListenAndServe(a, b)\n}\n",
        "client := r.Header.Get(\"X-Forwarded-For\")\n",
    ),
    (
        "go.mod",
        "require github.com/gin-gonic/gin v1.0.0\n",
        "main.go",
        "func main() {\nr := gin.New()\n}\n",
        "r.SetTrustedProxies(list)\n",
    ),
    (
        "go.mod",
        "require github.com/labstack/echo/v4 v4.0.0\n",
        "main.go",
        "func main() {\ne := echo.New()\n}\n",
        "e.IPExtractor = echo.ExtractIPFromXFFHeader()\n",
    ),
    (
        "Cargo.toml",
        "[dependencies]\naxum = \"0.8\"\n",
        "src/main.rs",
        "fn main() {\n}\n",
        "let client = headers.get(\"x-forwarded-for\");\n",
    ),
    (
        "Cargo.toml",
        "[dependencies]\nactix-web = \"4\"\n",
        "src/main.rs",
        "fn main() {\n}\n",
        "let client = info.realip_remote_addr();\n",
    ),
];

#[test]
fn a_setting_counts_where_it_is_code() {
    for (manifest, requires, file, code, setting) in SETTINGS {
        let client = |code: &str| tell(&[(manifest, requires), (file, code)]).client;
        let comment = if file.ends_with(".py") { "# " } else { "// " };
        assert!(client(code).contains(": "), "{requires}: {}", client(code));
        assert_ne!(client(&format!("{code}{comment}{setting}")), "right", "{requires}");
        assert_eq!(client(&format!("{code}{setting}")), "right", "{requires}");
    }
}
