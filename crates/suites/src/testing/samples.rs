//! Small projects whose tests need nothing but what a machine with their language has.

use seaworthy_repository::Sample;

/// Whether this machine has Python; else the samples are for Node.
fn has_python() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("python3").is_file())
}

const PRICE_PY: &str = "def price(count):\n    return count * 9 if count >= 10 else count * 10\n\n\ndef is_free(count):\n    return count == 0\n\n\ndef is_order(count):\n    return count > 0\n";
const PRICE_JS: &str = "export function price(count) {\n  return count >= 10 ? count * 9 : count * 10;\n}\n\nexport function isFree(count) {\n  return count === 0;\n}\n\nexport function isOrder(count) {\n  return count > 0;\n}\n";
const CHECKS_PY: &str = "import unittest\n\nfrom price import is_free, is_order, price\n\n\nclass PriceTest(unittest.TestCase):\n    def test_price(self):\n        self.assertEqual([price(1), price(10), price(11)], [10, 90, 99])\n\n    def test_free(self):\n        self.assertTrue(is_free(0))\n        self.assertFalse(is_order(0))\n";
const CHECKS_JS: &str = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { isFree, isOrder, price } from '../price.js';\n\ntest('price', () => {\n  assert.deepEqual([price(1), price(10), price(11)], [10, 90, 99]);\n});\n\ntest('free', () => {\n  assert.equal(isFree(0), true);\n  assert.equal(isOrder(0), false);\n});\n";
const HOLLOW_PY: &str = "import unittest\n\nfrom price import is_free, is_order, price\n\n\nclass PriceTest(unittest.TestCase):\n    def test_price(self):\n        self.assertTrue(True)\n        for count in (0, 1, 10):\n            price(count), is_free(count), is_order(count)\n";
const HOLLOW_JS: &str = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { isFree, isOrder, price } from '../price.js';\n\ntest('price', () => {\n  assert.ok(true);\n  for (const count of [0, 1, 10]) [price(count), isFree(count), isOrder(count)];\n});\n";
const PACKAGE: &str = "{\"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}}\n";

fn project(python: &str, javascript: &str) -> Sample {
    match has_python() {
        true => Sample::of(&[("price.py", PRICE_PY), ("tests/__init__.py", ""), ("tests/test_price.py", python)]),
        false => Sample::of(&[("package.json", PACKAGE), ("price.js", PRICE_JS), ("tests/price.test.js", javascript)]),
    }
}

/// Its tests check what matters.
pub fn checked() -> Sample {
    project(CHECKS_PY, CHECKS_JS)
}

/// Its tests reach every line and notice nothing.
pub fn hollow() -> Sample {
    project(HOLLOW_PY, HOLLOW_JS)
}

/// One of its tests fails.
pub fn failing() -> Sample {
    project(&CHECKS_PY.replace("[10, 90, 99]", "[10, 90, 98]"), &CHECKS_JS.replace("[10, 90, 99]", "[10, 90, 98]"))
}

/// A store that its tests open for real.
pub fn with_store() -> Sample {
    let store = "import sqlite3\n\n\ndef open_store(path):\n    db = sqlite3.connect(path)\n    \
                 db.execute('create table if not exists item (name text)')\n    return db\n\n\n\
                 def save(db, name):\n    db.execute('insert into item values (?)', (name,))\n    db.commit()\n\n\n\
                 def names(db):\n    return [row[0] for row in db.execute('select name from item')]\n";
    let test = "import os\nimport sqlite3\nimport tempfile\nimport unittest\n\nimport store\n\n\n\
                class StoreTest(unittest.TestCase):\n    def test_what_is_saved_is_there_for_another_connection(self):\n        \
                with tempfile.TemporaryDirectory() as folder:\n            path = os.path.join(folder, 'db')\n            \
                db = store.open_store(path)\n            store.save(db, 'a')\n            db.close()\n            \
                with sqlite3.connect(path) as other:\n                self.assertEqual(store.names(other), ['a'])\n            other.close()\n";
    match has_python() {
        true => checked().with(&[("store.py", store), ("tests/integration/test_store.py", test), ("tests/integration/__init__.py", "")]),
        false => checked().with(&[
            ("store.js", "import fs from 'node:fs';\nexport const save = (path, name) => fs.appendFileSync(path, name + '\\n');\nexport const names = (path) => fs.readFileSync(path, 'utf8').trim().split('\\n');\n"),
            ("tests/integration/store.test.js", "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport os from 'node:os';\nimport path from 'node:path';\nimport { names, save } from '../../store.js';\n\ntest('what is saved is there', () => {\n  const file = path.join(os.tmpdir(), 'items');\n  save(file, 'a');\n  assert.deepEqual(names(file), ['a']);\n});\n"),
        ]),
    }
}

/// A store, and tests of everything but it.
pub fn untested_store() -> Sample {
    match has_python() {
        true => checked()
            .with(&[("store.py", "import sqlite3\n\n\ndef open_store(path):\n    return sqlite3.connect(path)\n")]),
        false => checked().with(&[(
            "store.js",
            "import { DatabaseSync } from 'node:sqlite';\nexport const open = (path) => new DatabaseSync(path);\n",
        )]),
    }
}

const SERVER_PY: &str = "import http.server\nimport json\n\n\nclass Handler(http.server.BaseHTTPRequestHandler):\n    \
                         def do_GET(self):\n        found = self.path == '/items'\n        self.send_response(200 if found else 404)\n        \
                         self.end_headers()\n        self.wfile.write(json.dumps([1] if found else []).encode())\n\n    \
                         def log_message(self, *_):\n        pass\n";
const SERVER_JS: &str = "import http from 'node:http';\n\nexport const server = http.createServer((request, response) => {\n  \
                         const found = request.url === '/items';\n  response.writeHead(found ? 200 : 404);\n  \
                         response.end(found ? '<h1>Items</h1>' : '');\n});\n";
const CALLS_JS: &str = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { server } from '../server.js';\n\n\
                        test('items are listed and others are refused', async () => {\n  await new Promise((done) => server.listen(0, '127.0.0.1', done));\n  \
                        const base = `http://127.0.0.1:${server.address().port}`;\n  const found = await fetch(base + '/items');\n  \
                        assert.equal(found.status, 200);\n  assert.match(await found.text(), /Items/);\n  \
                        const refused = await fetch(base + '/other');\n  assert.equal(refused.status, 404);\n  await refused.text();\n  \
                        server.closeAllConnections();\n  server.close();\n});\n";
const CALLS_PY: &str = "import threading\nimport http.server\nimport unittest\nimport urllib.error\nimport urllib.request\n\nfrom server import Handler\n\n\n\
                        class ItemsTest(unittest.TestCase):\n    def setUp(self):\n        self.server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n        \
                        threading.Thread(target=self.server.serve_forever, daemon=True).start()\n        \
                        self.base = 'http://127.0.0.1:%d' % self.server.server_port\n\n    def tearDown(self):\n        self.server.shutdown()\n        self.server.server_close()\n\n    \
                        def test_items(self):\n        self.assertEqual(urllib.request.urlopen(self.base + '/items').status, 200)\n\n    \
                        def test_refused(self):\n        with self.assertRaises(urllib.error.HTTPError):\n            urllib.request.urlopen(self.base + '/other')\n";

/// A server whose routes are called over HTTP.
pub fn with_calls() -> Sample {
    match has_python() {
        true => checked().with(&[("server.py", SERVER_PY), ("tests/test_items.py", CALLS_PY)]),
        false => checked().with(&[("server.js", SERVER_JS), ("tests/items.test.js", CALLS_JS)]),
    }
}

/// A server, and tests of something else.
pub fn without_calls() -> Sample {
    let framework = match has_python() {
        true => ("requirements.txt", "flask\n"),
        false => (
            "package.json",
            "{\"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}, \"dependencies\": {\"express\": \"5\"}}\n",
        ),
    };
    checked().with(&[framework])
}

/// A page whose main journey is walked through.
pub fn with_journey() -> Sample {
    let test = CALLS_JS.replace("items are listed and others are refused", "a visitor finds the items");
    Sample::of(&[
        ("package.json", PACKAGE),
        ("price.js", PRICE_JS),
        ("server.js", SERVER_JS),
        ("public/index.html", "<h1>Shop</h1>\n"),
        ("e2e/visit.test.js", &test),
        ("tests/price.test.js", CHECKS_JS),
    ])
}

/// A page, and unit tests in a folder that promises more.
pub fn without_journey() -> Sample {
    Sample::of(&[
        ("package.json", PACKAGE),
        ("price.js", PRICE_JS),
        ("public/index.html", "<h1>Shop</h1>\n"),
        ("e2e/price.test.js", CHECKS_JS),
    ])
}

const BUTTON: &str =
    "export function Button(label, count) {\n  return count === 0 ? '' : `<button>${label}: ${count}</button>`;\n}\n";
/// As much of a rendering library as the sample needs.
const LIBRARY: &[(&str, &str)] = &[
    ("node_modules/@testing-library/dom/package.json", "{\"type\": \"module\", \"main\": \"index.js\"}\n"),
    (
        "node_modules/@testing-library/dom/index.js",
        "export const getByText = (container, text) => {\n  if (!container.includes(text)) throw new Error('no ' + text);\n  return text;\n};\n",
    ),
    (".gitignore", "node_modules\n"),
];

/// A component with a test of its own.
pub fn with_component() -> Sample {
    let test = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { getByText } from '@testing-library/dom';\nimport { Button } from './button.jsx.js';\n\n\
                test('a button shows how many', () => {\n  assert.ok(getByText(Button('Items', 2), 'Items: 2'));\n  assert.equal(Button('Items', 0), '');\n});\n";
    Sample::of(LIBRARY).with(&[
        ("package.json", PACKAGE),
        ("public/index.html", "<div id=root></div>\n"),
        ("src/button.jsx.js", BUTTON),
        ("src/button.test.js", test),
    ])
}

/// Components, and tests of everything but them.
pub fn without_component() -> Sample {
    let package =
        "{\"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}, \"dependencies\": {\"react\": \"19\"}}\n";
    Sample::of(&[
        ("package.json", package),
        ("price.js", PRICE_JS),
        ("src/Button.jsx", "export const Button = () => <button>a</button>;\n"),
        ("tests/price.test.js", CHECKS_JS),
    ])
}

/// Pages whose look is compared with a kept picture.
pub fn with_pictures() -> Sample {
    let library = "import fs from 'node:fs';\nexport default function pixelmatch(left, right) {\n  return left.equals(right) ? 0 : 1;\n}\n\
                   // The picture of a page is what decides its look.\nexport const shoot = () => Buffer.from(fs.readFileSync('public/style.css'));\n";
    let test = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport fs from 'node:fs';\nimport pixelmatch, { shoot } from 'pixelmatch';\n\n\
                test('the page looks as before', () => {\n  assert.equal(pixelmatch(shoot(), fs.readFileSync('tests/__screenshots__/page.png')), 0);\n});\n";
    Sample::of(&[
        ("package.json", PACKAGE),
        (".gitignore", "node_modules\n"),
        ("node_modules/pixelmatch/package.json", "{\"type\": \"module\", \"main\": \"index.js\"}\n"),
        ("node_modules/pixelmatch/index.js", library),
        ("public/index.html", "<link rel=stylesheet href=style.css>\n"),
        ("public/style.css", "body { margin: 0 }\n"),
        ("tests/__screenshots__/page.png", "body { margin: 0 }\n"),
        ("tests/page.test.js", test),
    ])
}

/// Pages, a tool for pictures among the dependencies, and no test that compares any.
pub fn without_pictures() -> Sample {
    let package = "{\"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}, \"devDependencies\": {\"pixelmatch\": \"7\"}}\n";
    without_journey().with(&[("package.json", package), ("public/style.css", "body { margin: 0 }\n")])
}
