"""`palimpsest encoders audit`, and the audit in `encoders show`."""

from __future__ import annotations

from tests.cli.help import RunningServer, palimpsest
from tests.server.audit_help import fail_audit
from tests.server.help import publish
from unlearn.trial.audit import AuditCounts, GroupCounts, audit_measures


def test_an_audit_is_shown_and_can_be_had_signed(served: RunningServer) -> None:
    card = publish(served.runtime, "one")

    def audit(*options: str) -> str:
        done = palimpsest("encoders", "audit", "one", *options, server=served.url)
        assert done.status == 0, done
        return done.out

    assert "one has not been audited yet" in audit()
    audits = served.runtime.storage.audits
    counts = AuditCounts({"pogo (character)": GroupCounts(8, 8, 6, 2)}, GroupCounts(8, 8, 8, 0))
    audits.save(card.ref, counts.to_json(), audit_measures(counts, card.concepts), [], judge="")
    audits.count_served(card.ref, shown=True)
    printed = audit()
    assert "one has nothing against it." in printed
    assert "25 %" in printed
    assert "other concepts: lost" in printed
    assert "Of 1 served clips that were judged, 1 show what it forgets." in printed
    signed = palimpsest("encoders", "audit", "one", "--json", server=served.url).json
    assert set(signed) == {"id", "object", "facts", "envelope", "certificates"}
    assert signed["facts"]["forgotten_by_concept"]["pogo (character)"]["n"] == 8
    assert "failed" not in palimpsest("encoders", "show", "one", server=served.url).out


def test_a_failed_audit_says_why(served: RunningServer) -> None:
    card = publish(served.runtime, "bad", seed=2)
    fail_audit(served.runtime, card.ref, "It shows pogo.")
    shown = palimpsest("encoders", "show", "bad", server=served.url)
    assert "failed: It shows pogo." in shown.out
    assert "published, audit failed" in palimpsest("encoders", "list", server=served.url).out
    printed = palimpsest("encoders", "audit", "bad", server=served.url)
    assert printed.status == 0
    assert "bad has failed its audit. It shows pogo." in printed.out
    palimpsest("encoders", "audit", "none", server=served.url).assert_failed("no encoder 'none'")
