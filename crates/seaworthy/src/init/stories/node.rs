//! Projects in JavaScript and TypeScript.

use super::tell;

#[test]
fn express() {
    let server = "const express = require('express')\nconst app = express()\napp.get('/health', f)\napp.listen(process.env.PORT || 3000)\n";
    let package = r#"{"scripts": {"start": "node src/server.js"}, "dependencies": {"express": "^5"}}"#;
    let story = tell(&[("package.json", package), ("src/server.js", server)]);
    assert_eq!(
        (story.stack.as_str(), story.command.as_str(), story.health.as_str()),
        ("Express", "node src/server.js", "/health")
    );
    assert_eq!(story.client, "src/server.js: app.set('trust proxy', 'loopback')");
    assert_eq!((story.notes.as_str(), story.example.as_str()), ("", ""));
    let fixed =
        server.replace("app.listen(process.env.PORT || 3000)", "app.set('trust proxy', 'loopback')\napp.listen(3000)");
    let package =
        r#"{"scripts": {"start": "NODE_ENV=production node x.js && true"}, "dependencies": {"express": "^5"}}"#;
    let story = tell(&[("package.json", package), ("yarn.lock", ""), ("src/server.js", &fixed)]);
    assert_eq!((story.command.as_str(), story.client.as_str()), ("yarn run start", "right"));
    assert!(story.notes.contains("does not read the environment variable PORT"), "{}", story.notes);
    let story = tell(&[("package.json", r#"{"dependencies": {"express": "^5"}}"#), ("index.js", server)]);
    assert_eq!(story.command, "node index.js");
}

#[test]
fn other_node_servers() {
    let package = |name: &str| format!("{{\"main\": \"server.js\", \"dependencies\": {{\"{name}\": \"1\"}}}}");
    let story = tell(&[
        ("package.json", &package("fastify")),
        ("server.js", "const app = require('fastify')({ logger: true })\n"),
    ]);
    assert_eq!((story.stack.as_str(), story.command.as_str()), ("Fastify", "node server.js"));
    assert!(story.client.contains("trustProxy"));
    let story = tell(&[
        ("package.json", &package("fastify")),
        ("server.js", "const app = Fastify({ trustProxy: 'loopback' })\n"),
    ]);
    assert_eq!(story.client, "right");
    let story = tell(&[("package.json", &package("koa")), ("server.js", "const app = new Koa()\n")]);
    assert_eq!((story.stack.as_str(), story.client.as_str()), ("Koa", "server.js: app.proxy = true"));
    let nest = r#"{"scripts": {"start": "nest start", "start:prod": "node dist/main"}, "dependencies": {"@nestjs/core": "11"}}"#;
    let story = tell(&[
        ("package.json", nest),
        ("src/main.ts", "const app = await NestFactory.create(AppModule);\n"),
        ("src/health.ts", "@Controller('health')\n"),
    ]);
    assert_eq!(
        (story.stack.as_str(), story.command.as_str(), story.health.as_str()),
        ("Nest", "node dist/main", "/health")
    );
    let story = tell(&[
        ("package.json", "{}"),
        ("server.mjs", "import { createServer } from 'node:http';\ncreateServer(f).listen(1)\n"),
    ]);
    assert_eq!((story.stack.as_str(), story.command.as_str()), ("Node.js", "node server.mjs"));
}

#[test]
fn next() {
    let package =
        ("package.json", r#"{"scripts": {"start": "next start"}, "dependencies": {"next": "16", "react": "19"}}"#);
    let story = tell(&[
        package,
        ("next.config.mjs", "export default {}\n"),
        ("app/api/health/route.ts", "x"),
        ("node_modules/.bin/next", ""),
    ]);
    assert_eq!(story.stack, "Next.js");
    assert_eq!(story.command, "node_modules/.bin/next start --hostname 127.0.0.1 --port $PORT");
    assert_eq!((story.health.as_str(), story.client.as_str()), ("/api/health", "right"));
    let story = tell(&[package, ("next.config.ts", "export default { output: 'standalone' }\n")]);
    assert_eq!(story.command, "node .next/standalone/server.js");
    assert!(story.config.contains("env = { HOSTNAME = \"127.0.0.1\" }"), "{}", story.config);
    let story = tell(&[package, ("next.config.js", "module.exports = { output: \"export\" }\n")]);
    assert_eq!((story.stack.as_str(), story.site.as_str()), ("Next.js static export", "out"));
    let custom = r#"{"scripts": {"start": "node server.js"}, "dependencies": {"next": "16", "express": "5"}}"#;
    let story = tell(&[("package.json", custom), ("server.js", "const server = express()\n"), ("next.config.js", "")]);
    assert_eq!((story.stack.as_str(), story.command.as_str()), ("Express", "node server.js"));
}
