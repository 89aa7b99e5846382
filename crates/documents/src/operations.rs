//! `docs.deploy-guide`, `docs.rollback`, `docs.capacity`, `docs.refactoring`, `docs.troubleshooting`, `docs.oncall`: pages that
//! operators read, each with what it must have.

use seaworthy_repository::{Cases, Sample};

use super::written::{Look, Written, always, nothing_else};

pub(super) const DEPLOY_GUIDE: Written = Written {
    control: "docs.deploy-guide",
    person: false,
    beside_the_point: always,
    check: |look, cases| {
        look.has_commands(cases, 2);
        let words = [
            "server",
            "production",
            "docker",
            "podman",
            "systemd",
            "nginx",
            "deploy",
            "kubernetes",
            "kubectl",
            "helm",
            "reverse proxy",
            "machine",
            "vps",
            "heroku",
            "fly.io",
            "ansible",
            "seaworthy",
            "host",
        ];
        look.says(cases, "where it is brought up", &words);
    },
    present: || {
        let text = "# Deploying\nYou need a machine with Docker and a domain that points at it. Copy the settings, fill in what is empty, then bring \
                    everything up and look whether the health page answers with 200.\n```console\n$ cp .env.example .env\n$ make deploy\n$ curl -f localhost/health\n```\n";
        Sample::of(&[
            ("docs/deployment.md", text),
            ("Makefile", "deploy:\n\tdocker compose up -d\n"),
            (".env.example", "A=\n"),
        ])
    },
    absent: || {
        let text = "# Deploying\nYou need a machine with Docker and a domain that points at it. Copy the settings, fill in what is empty, then bring \
                    everything up and look whether the health page answers with 200.\n```console\n$ git pull\n$ make deploy\n```\n";
        Sample::of(&[("docs/deployment.md", text), ("Makefile", "build:\n\tdocker compose build\n")])
    },
};

pub(super) const ROLLBACK: Written = Written {
    control: "docs.rollback",
    person: false,
    beside_the_point: always,
    check: |look, cases| look.has_commands(cases, 1),
    present: || {
        let text = "# Rolling back\nWhen the new release misbehaves, start the earlier one again; the database stays, since every change fits both.\n\
                    ```sh\n./scripts/rollback.sh v1.2.2\ncurl -f https://orders.invalid/health\n```\n";
        Sample::of(&[("docs/rollback.md", text), ("scripts/rollback.sh", "#!/bin/sh\n")])
    },
    absent: || {
        let text = "# Operations\n## Rollback\nIf something goes wrong, the earlier release has to be put back in place by whoever is around, with care.\n";
        Sample::of(&[("docs/operations.md", text)])
    },
};

pub(super) const CAPACITY: Written = Written {
    control: "docs.capacity",
    person: true,
    beside_the_point: always,
    check: |look, cases| {
        cases.plan_more(1);
        let said = look.said();
        let numbers =
            said.split_whitespace().filter(|word| word.trim_matches(|c: char| !c.is_ascii_digit()).len() >= 2).count();
        let seen = format!("{} has {numbers} figures", look.places());
        cases.tried(
            numbers >= 3,
            if numbers >= 3 {
                seen
            } else {
                format!("{seen}; a plan needs what is borne now and from when on more is needed")
            },
        );
        look.says(
            cases,
            "what is measured",
            &["rps", "requests", "users", "req/s", "tenants", "connections", "gib", " gb", "cpu", "per second"],
        );
    },
    present: || {
        let text = "# Capacity plan\nThe last load test (k6, 12 May 2026) bore 350 requests per second on two nodes at 70 % CPU. We have 1200 users at peak and \
                    expect 15 % more each quarter. Above 250 requests per second for a week a third node is added; above 400 GB the database moves to a larger one.\n";
        Sample::of(&[("docs/capacity.md", text)])
    },
    absent: || {
        let text = "# Scaling\nThe service is built so that it scales horizontally. Since it keeps no state, more instances can be started whenever the load \
                    demands it, and the load balancer will take them in by itself without any further work by anybody.\n";
        Sample::of(&[("docs/scaling.md", text)])
    },
};

pub(super) const REFACTORING: Written = Written {
    control: "docs.refactoring",
    person: true,
    beside_the_point: always,
    check: nothing_else,
    present: || {
        let text = "# Refactoring summary\nThe order module had grown to 3000 lines in one file. It was taken apart into pricing, stock and delivery, since each \
                    changes for its own reasons. Before, `OrderService.place` did everything; now it calls three small services, each with tests of its own. \
                    To go on, take the invoices out in the same way: first the reads, then the writes, and keep the old name until every caller has moved.\n";
        Sample::of(&[("docs/refactoring.md", text)])
    },
    absent: || Sample::of(&[("docs/refactoring.md", "# Refactoring\nTODO: describe what was restructured.\n")]),
};

pub(super) const TROUBLESHOOTING: Written = Written {
    control: "docs.troubleshooting",
    person: true,
    beside_the_point: always,
    check: several_entries,
    present: || {
        let text = "# Troubleshooting\n## 502 on every page\nThe app is down or still starting. Look at the log; the usual cause is a database that does not \
                    answer. Restart it, then the app.\n## Mails stay in the queue\nThe mail server refuses our password after it was rotated. Set the new one and \
                    send the queue again.\n";
        Sample::of(&[("docs/troubleshooting.md", text)])
    },
    absent: || {
        let text =
            "# App\n## Troubleshooting\nIf something does not work please open an issue and tell us what you did.\n";
        Sample::of(&[("README.md", text)])
    },
};

fn several_entries(look: &Look<'_>, cases: &mut Cases) {
    cases.plan_more(1);
    let of = |part: &crate::document::Part<'_>| {
        let items: usize = part.sections.iter().map(|section| section.items).sum();
        let rows: usize = part.sections.iter().map(|section| section.rows.len().saturating_sub(1)).sum();
        let first = part.sections.first().map_or(0, |section| section.level);
        part.sections.iter().filter(|section| section.level > first.max(1)).count() + items + rows
    };
    let entries: usize = look.parts.iter().map(of).sum();
    let seen = format!("{} has {entries} entries", look.places());
    cases.tried(entries >= 2, seen);
}

pub(super) const ONCALL: Written = Written {
    control: "docs.oncall",
    person: true,
    beside_the_point: always,
    check: |look, cases| {
        look.says(
            cases,
            "whom to wake next",
            &["escalat", "second line", "secondary", "backup", "if nobody answers", "no answer", "next in line"],
        );
        look.says(
            cases,
            "how somebody is reached",
            &["@", "phone", "call ", "slack", "pager", "opsgenie", "sms", "teams", "signal", "e-mail", "email", "tel"],
        );
    },
    present: || {
        let text = "# On call\nWhoever is on duty answers a page within ten minutes, says so in the #incidents channel on Slack and opens the runbook of the alert.\n\
                    ## Escalation\nAfter 20 minutes without progress call the second line (the rota in PagerDuty, schedule *orders*), after 60 the head of engineering.\n";
        Sample::of(&[("docs/oncall.md", text)])
    },
    absent: || {
        let text = "# On call\nEverybody takes a week of duty in turn. Keep the laptop near, look at the dashboards in the morning and in the evening, and write down what \
                    happened so that the one who comes after you knows about it and can take over without asking.\n";
        Sample::of(&[("docs/oncall.md", text)])
    },
};

#[cfg(test)]
mod tests {
    use seaworthy_repository::{Inspection, Outcome, Repository};

    use super::*;

    fn look(inspection: &Written, files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        inspection.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_guide_in_another_place_is_neither_there_nor_missing() {
        let text = "# App\n## Deployment\nSee [the handbook](https://handbook.invalid/deploy).\n";
        assert!(matches!(look(&DEPLOY_GUIDE, &[("README.md", text)]), Outcome::Unclear(_)));
    }

    #[test]
    fn a_template_is_no_guide() {
        let text = "This is a [Next.js](https://nextjs.org) project bootstrapped with [`create-next-app`](x).\n```bash\nnpm run dev\n```\nYou can start editing the page by \
                    modifying `app/page.tsx`.\n## Deploy on Vercel\nThe easiest way to deploy your Next.js app is to use the [Vercel Platform](https://vercel.com/new).\n";
        assert!(matches!(look(&DEPLOY_GUIDE, &[("README.md", text)]), Outcome::Broken(_)));
    }

    #[test]
    fn a_checklist_line_is_no_page() {
        let text = "# Launch\n## Rollback\n- [ ] Rollback documented\n- [ ] `make rollback` tried\n- [ ] c\n- [ ] d\n- [ ] e\n";
        assert!(matches!(look(&ROLLBACK, &[("PRODUCTION.md", text), ("Makefile", "rollback:\n")]), Outcome::Broken(_)));
    }
}
