#!/usr/bin/env python3
"""What the probes that read a repository say of projects that nobody here wrote.

    trial.py fetch FOLDER            source packages of PyPI and npm, and what their own generators write (minutes, once)
    trial.py look FOLDER             every verdict, as a table: project, control, verdict, what was seen
    trial.py look FOLDER --hold      against verdicts.tsv, which a person has read: a pass that is not in it fails
    trial.py table                   the Markdown table for the documentation, from verdicts.tsv

Needs the release binary (cargo build --release), pip, npm and npx. Nothing of the projects is run.
Exit codes: 0 all well; 1 a verdict is new and nobody has read it; 2 cannot run.
"""

import argparse
import collections
import csv
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import processes  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
READ = HERE / "verdicts.tsv"
PROJECTS = HERE / "projects.json"


def fetch(folder):
    """Everything in projects.json; what is there already stays."""
    wanted = json.loads(PROJECTS.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / ".python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python], check=True)
        backends = wanted["build_backends"] + wanted["pypi_generators"]
        subprocess.run([python / "bin/pip", "install", "-q", "--disable-pip-version-check", *backends], check=True)
    for name, package in wanted["pypi"].items():
        one_archive(folder / name, lambda into: [
            python / "bin/pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
            "--no-binary", package.split("==")[0], "-d", into, package])
    for name, package in wanted["npm"].items():
        one_archive(folder / name, lambda into: ["npm", "pack", "--silent", "--pack-destination", into, package])
    for name, words in wanted["generators"].items():
        target = folder / name
        if target.exists():
            continue
        words = [word.replace("{python}", str(python / "bin")).replace("{name}", name) for word in words]
        if shutil.which(words[0]) is None:
            print(f"{name}: {words[0]} is missing", file=sys.stderr)
            continue
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        if not target.exists():
            print(f"{name}: nothing was generated: {(done.stderr or done.stdout).strip()[-200:]}", file=sys.stderr)


def one_archive(target, command):
    """A source archive, unpacked without its outer folder."""
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as into:
        done = subprocess.run(command(into), capture_output=True, text=True, timeout=300)
        archives = [path for path in pathlib.Path(into).iterdir() if path.name.endswith((".tar.gz", ".tgz"))]
        if not archives:
            print(f"{target.name}: no source archive: {done.stderr.strip()[-200:]}", file=sys.stderr)
            return
        with tarfile.open(archives[0]) as archive:
            archive.extractall(pathlib.Path(into) / "out", filter="data")
        (outer,) = (pathlib.Path(into) / "out").iterdir()
        shutil.move(outer, target)


def controls(binary):
    """Those that a repository alone can show."""
    lines = subprocess.run([binary, "check", "--controls", "--json"], capture_output=True, text=True, check=True).stdout
    all_controls = [json.loads(line) for line in lines.splitlines()]
    areas = ("config", "ci", "docs", "testing", "frontend", "deploy", "data", "edge")
    return [one["control"] for one in all_controls if one["control"].split(".")[0] in areas]


def look(binary, project, wanted):
    """Control → (verdict, reason), for what a probe had something to say of."""
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (place / "list.md").write_text("".join(f"- [ ] {one} <!-- seaworthy: control={one} -->\n" for one in wanted))
        (place / "seaworthy.toml").write_text("")
        done = subprocess.run([binary, "check", "list.md", "--json", "--repo", project],
                              cwd=place, capture_output=True, text=True, timeout=600)
        if not done.stdout.strip():
            raise SystemExit(f"{project.name}: {done.stderr.strip()}")
        items = json.loads(done.stdout)["items"]
        elsewhere = ("with --url", "no probe of this", "only a person can say: seaworthy attest process")
        static = [one for one in items if not any(word in one["reason"] for word in elsewhere)]
        return {one["control"]: (one["verdict"], " ".join(one["reason"].split())) for one in static}


def look_at_all(folder, binary, only):
    projects = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    projects = [path for path in projects if not only or path.name in only]
    wanted = controls(binary)
    found = {}
    for project in projects:
        print(f"{project.name} …", file=sys.stderr)
        found[project.name] = look(binary, project, wanted)
    return found


def read_by_a_person():
    with open(READ, newline="") as file:
        return {(row["project"], row["control"]): row for row in csv.DictReader(file, delimiter="\t")}


def hold(found):
    """A pass that nobody has read is not believed; a judged failure that became a pass, too."""
    known, unread = read_by_a_person(), []
    for project, verdicts in found.items():
        for control, (verdict, reason) in verdicts.items():
            row = known.get((project, control))
            if verdict == "pass" and (row is None or row["verdict"] != "pass" or row["judgement"] != "right"):
                unread.append(f"{project}\t{control}\t{verdict}\t{reason}")
    print("\n".join(unread))
    print(f"{sum(map(len, found.values()))} verdicts on {len(found)} projects, {len(unread)} passes that nobody has read")
    return 1 if unread or not found else 0


def table():
    rows = list(read_by_a_person().values())
    by_project = collections.defaultdict(collections.Counter)
    for row in rows:
        by_project[row["project"]][row["verdict"]] += 1
        by_project[row["project"]][f"judged {row['judgement']}"] += 1
    verdicts = ("pass", "fail", "inconclusive", "not-run", "not-applicable")
    judged = ("false pass", "false fail", "debatable")
    print("| project | " + " | ".join(verdicts) + " | false passes | false failures | debatable |")
    print("|---|" + "---:|" * (len(verdicts) + len(judged)))
    total = collections.Counter()
    for project, counts in sorted(by_project.items()):
        total.update(counts)
        cells = [counts[one] for one in verdicts] + [counts[f"judged {one}"] for one in judged]
        print(f"| {project} | " + " | ".join(map(str, cells)) + " |")
    cells = [total[one] for one in verdicts] + [total[f"judged {one}"] for one in judged]
    print(f"| **{len(by_project)} projects** | " + " | ".join(f"**{cell}**" for cell in cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fetch", "look", "table"])
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--binary", type=pathlib.Path, default=processes.BINARY)
    options = parser.parse_args()
    if options.what == "table":
        return table()
    if options.folder is None:
        parser.error("name a folder")
    if options.what == "fetch":
        return fetch(options.folder)
    if not options.binary.exists():
        print(f"{options.binary} is missing: cargo build --release", file=sys.stderr)
        return 2
    found = look_at_all(options.folder.resolve(), options.binary.resolve(), options.only)
    if options.hold:
        return hold(found)
    print("project\tcontrol\tverdict\treason")
    for project, verdicts in found.items():
        for control, (verdict, reason) in verdicts.items():
            print(f"{project}\t{control}\t{verdict}\t{reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
