//! What is found where, and what is left alone.

use std::{fs, path::Path};

use seaworthy_repository::Outcome;

use super::*;

fn found(text: &str, path: &str) -> usize {
    scan(text.as_bytes(), path, &Live::default()).findings.len()
}

fn value() -> String {
    format!("{}{}", "kR4vTq9", "Zq81LmPx")
}

fn outcome(root: &Path) -> Outcome {
    look(&Repository::open(root).unwrap()).outcome
}

#[test]
fn telling_names_and_no_value_shown() {
    let value = value();
    for text in [
        format!("db_password = \"{value}\""),
        format!("bot_secret=\"{value}\""),
        format!("if password == \"{value}\":"),
        format!("os.environ.get(\"DB_PASSWORD\", \"{value}\")"),
        format!("url = \"https://bob:{value}@db.internal/x\""),
    ] {
        assert_eq!(found(&text, "file.py"), 1, "{text}");
    }
    for text in [
        format!("API_KEY={value}\n"),
        format!("  POSTGRES_PASSWORD: {value}\n"),
        format!("spring.datasource.password={value}\n"),
        format!("<password>{value}</password>"),
        format!("mysql --password {value} shop"),
    ] {
        assert_eq!(found(&text, "settings.yml"), 1, "{text}");
    }
    let hits = scan(format!("password = '{value}'").as_bytes(), "a.py", &Live::default()).findings;
    assert!(!hits[0].shown.contains("kR4"), "{}", hits[0].shown);
}

#[test]
fn placeholders_references_and_things_that_only_look_alike() {
    for text in [
        "password = \"changeme\"",
        "API_KEY=your-key-here\n",
        "secret_key: \"${SECRET_KEY}\"",
        "password = os.environ[\"PASSWORD\"]",
        "token = \"aaaaaaaaaaaa\"",
        "DATABASE_URL=postgres://user:password@localhost/app",
        "password: { type: 'string', minLength: 8 }",
        "const PASSWORD_RESET_URL = '/reset/9f8a7b6c5d'",
        "tokenizer = \"cl100k_base\"",
        "api_key_header = 'X-Api-Key-2'",
        "password_hash = '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'",
        "token_id = \"550e8400-e29b-41d4-a716-446655440000\"",
        "secretName: web-tls-2024\n",
        "password: !vault |\n",
        "integrity: \"sha512-9f86d081884c7d659a2feaa0c55ad0159f86d081\"",
        "AWS = 'AKIAIOSFODNN7EXAMPLE'",
        "icon = \"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk\"",
    ] {
        assert_eq!(found(text, "config.py"), 0, "{text}");
        assert_eq!(found(text, "config.yml"), 0, "{text}");
    }
    assert_eq!(found("api_key = \"9f86d081884c7d659a2feaa0c55ad015\"", "poetry.lock"), 0);
}

#[test]
fn tests_hold_examples_unless_only_a_vendor_makes_them() {
    let named = format!("password = \"{}\"", value());
    assert_eq!((found(&named, "tests/a.py"), found(&named, "docs/a.md"), found(&named, "src/a.py")), (0, 0, 1));
    let shaped = format!("x = \"{}\"", planted());
    for path in ["tests/a.py", "docs/a.md", "app.min.js", "poetry.lock"] {
        assert_eq!(found(&shaped, path), 1, "a key of a known shape counts anywhere: {path}");
    }
    let inline = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n    let {named};\n}}\n");
    assert_eq!(found(&inline, "src/a.rs"), 0);
}

#[test]
fn a_live_value_is_found_whatever_it_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    let live = format!("plover-quay-{}", "lantern 7");
    let env = format!("MAIL_SECRET=\"{live}\"\nNAME=shop\n");
    let files = [(".gitignore", ".env\n"), (".env", env.as_str()), ("docs/a.md", &format!("use {live}, please"))];
    Sample::of(&files).committed().without("docs/a.md").committed().write(folder.path()).unwrap();
    let sighting = look(&Repository::open(folder.path()).unwrap());
    let Outcome::Broken(why) = &sighting.outcome else { panic!("{sighting:?}") };
    assert!(why.contains("live value of MAIL_SECRET") && why.contains("history"), "{why}");
    assert!(!format!("{sighting:?}").contains(&live));

    let mut repository = Repository::open(folder.path()).unwrap();
    fs::remove_file(folder.path().join(".env")).unwrap();
    assert_eq!(look(&repository).outcome, Outcome::Holds);
    repository.live.add("MAIL_SECRET", &live);
    assert!(matches!(look(&repository).outcome, Outcome::Broken(_)));
}

#[test]
fn an_image_and_a_bundle_are_places_too() {
    let folder = tempfile::tempdir().unwrap();
    Sample::of(&[("app.py", "x"), (".gitignore", "*.tar\ndist\n")]).committed().write(folder.path()).unwrap();
    canary::write_image(&folder.path().join("web.tar"), &[("app/a.py", "x = 1"), ("usr/lib/a.py", "x")]).unwrap();
    let sighting = look(&Repository::open(folder.path()).unwrap());
    assert!(sighting.outcome == Outcome::Holds && sighting.observed.contains("image web.tar"), "{sighting:?}");
    let secret = format!("API_KEY = '{}'", value());
    canary::write_image(&folder.path().join("web.tar"), &[("app/a.py", &secret)]).unwrap();
    assert!(matches!(outcome(folder.path()), Outcome::Broken(why) if why.contains("web.tar/app/a.py:1")));
    fs::remove_file(folder.path().join("web.tar")).unwrap();
    let bundle = format!("var a=\"{}\";", planted());
    Sample::of(&[("dist/index.html", ""), ("dist/a.js", &bundle)]).write(folder.path()).unwrap();
    assert!(matches!(outcome(folder.path()), Outcome::Broken(why) if why.contains("dist/a.js:1")));
}

#[test]
fn a_waived_path_does_not_count_and_a_broken_image_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Sample::of(&[("a.py", &format!("K = '{}'", planted())), ("b.py", "x")]).write(folder.path()).unwrap();
    let mut repository = Repository::open(folder.path()).unwrap();
    assert!(matches!(look(&repository).outcome, Outcome::Broken(_)));
    repository.declared.waived.insert(CONTROL.into(), vec!["a.py".into()]);
    assert_eq!(look(&repository).outcome, Outcome::Holds);

    let path = folder.path().join("image.tar");
    canary::write_image(&path, &[("app/a", "x")]).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 2_500]).unwrap();
    assert!(matches!(look(&repository).outcome, Outcome::Unclear(_)), "{:?}", look(&repository));
}

/// What would hold or fill a reader that trusts its input.
#[cfg(unix)]
#[test]
fn a_hostile_folder_ends() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command, time::Instant};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    Sample::of(&[("app.py", "x")]).committed().write(root).unwrap();
    for pipe in ["pipe.py", ".env", "dist", "image.tar", "sub/.gitignore"] {
        fs::create_dir_all(root.join("sub")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join(pipe)).status().unwrap().success());
    }
    for (link, target) in [("loop", "."), ("endless.py", "/dev/zero"), ("build", "loop"), ("sub/up", "..")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    fs::write(root.join(OsStr::from_bytes(b"b\xffd.py")), "password = 1\n").unwrap();
    fs::write(root.join("lines.py"), "token = secret\n".repeat(1_000_000)).unwrap();
    fs::write(root.join("line.js"), "password:\"a\",".repeat(100_000)).unwrap();
    fs::write(root.join("quotes.py"), "\"\"\"\n".repeat(200_000)).unwrap();
    fs::write(root.join("urls.txt"), "a://".repeat(100_000)).unwrap();
    fs::write(root.join("keys.pem"), "-----BEGIN PRIVATE KEY-----\n".repeat(10_000)).unwrap();
    // Larger than anything that is read, and without a block on the disk.
    fs::File::create(root.join("huge.bin")).unwrap().set_len(1 << 40).unwrap();
    // 200 MiB of nothing in 200 KiB.
    let zeros =
        flate2::read::GzEncoder::new(std::io::Read::take(std::io::repeat(0), 200 << 20), flate2::Compression::fast());
    std::io::copy(&mut std::io::BufReader::new(zeros), &mut fs::File::create(root.join("bomb.tar.gz")).unwrap())
        .unwrap();
    let started = Instant::now();
    let repository = Repository::open(root).unwrap();
    let outcome = look(&repository).outcome;
    assert!(!matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
    for inspection in crate::secrets::all() {
        inspection.look(&repository);
    }
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}
