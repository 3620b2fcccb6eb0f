"""The demo's summary: tables for people, and the same data as JSON."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from services.chassis.durations import duration
from services.cli.demo.ledger import TERMINAL, Audit, Ledger, ObservedInteraction, Sent, untied_bounces
from services.cli.output import console, table

SERVICE_LEVEL_MS = 20_000


@dataclass(frozen=True, slots=True)
class Report:
    """The results that the demo prints at its end."""

    ledger: Ledger
    audit: Audit
    scores: Sequence[feedback_pb2.Score]
    ready_s: float
    acted_s: float
    restarts: dict[str, int]
    sent: Sent

    def data(self) -> dict[str, Any]:
        """Return the report as data for JSON."""
        return {
            "ready_s": round(self.ready_s, 2),
            "acted_s": round(self.acted_s, 1),
            "channels": [_channel_data(name, group) for name, group in self._by_channel()],
            "service_level": self._service_level(),
            "sla_events": dict(self.ledger.sla),
            "breached_interactions": len(self.ledger.breached),
            "feedback": {
                "invited": self.ledger.invited,
                "responses": len(self.ledger.responses),
                "recoveries": len(self.ledger.recoveries),
            },
            "csat": self._csat(),
            "deliveries": {
                "unknown": self.audit.unknown_deliveries,
                "failed": self.audit.failed_deliveries,
                "as_templates": len(self.ledger.as_templates),
            },
            "machines": self._machines(),
            "files": {"received": self._received(), "sent": self._sent()},
            "restarts": self.restarts,
            "lost": list(self.audit.lost),
            "doubled": list(self.audit.doubled),
            "misdelivered": list(self.audit.misdelivered),
        }

    def show(self) -> None:
        """Print the report as tables; the last line is the audit's result."""
        console.print(table("interactions by channel", _COLUMNS, (_channel_row(n, g) for n, g in self._by_channel())))
        level = self._service_level()
        observed = [
            (
                "service level",
                f"{level['answered_in_20_s']} of {level['offered']} offered were accepted within 20 s ({level['share']:.0%})",
            ),
            ("targets breached", f"{len(self.ledger.breached)} interactions; events: " + _counts(self.ledger.sla)),
            ("surveys", f"{self.ledger.invited} customers invited, {len(self.ledger.responses)} responses counted"),
            ("recoveries", f"{len(self.ledger.recoveries)} low scores, each followed up by a new interaction"),
            ("CSAT", self._csat_text()),
        ]
        observed.append(("files", f"received: {_counts(self._received())}; sent: {_counts(self._sent())}"))
        if self.audit.unknown_deliveries or self.audit.failed_deliveries:
            observed.append(
                (
                    "deliveries",
                    f"{self.audit.unknown_deliveries} of unknown outcome, {self.audit.failed_deliveries} failed",
                )
            )
        if self.ledger.as_templates:
            count = len(self.ledger.as_templates)
            observed.append(
                ("as templates", f"{count} outside WhatsApp's time for free replies, sent by the account's rule")
            )
        observed.append(("machines", _machine_words(self._machines())))
        if any(self.restarts.values()):
            observed.append(("killed and restarted", _counts(self.restarts)))
        console.print(table("totals", ("what", "value"), observed))
        for line in (*self.audit.lost[:20], *self.audit.doubled[:20], *self.audit.misdelivered[:20]):
            console.print(line, style="red", markup=False, highlight=False)
        lost, doubled, wrong = (len(each) for each in (self.audit.lost, self.audit.doubled, self.audit.misdelivered))
        console.print(f"lost {lost}, doubled {doubled}, misdelivered {wrong}", highlight=False)

    def _machines(self) -> dict[str, int]:
        """Return the number of messages from machines: those that were sent, and those that did what they should."""
        ledger, sent = self.ledger, self.sent
        ids = {mark: ledger.message_of_mark.get(mark, "") for mark in sent.auto_replies}
        of = ledger.conversation_of_mark
        return {
            "bounces": len(sent.bounces),
            "bounces_tied": len(sent.bounces - untied_bounces(ledger, sent)),
            "auto_replies": len(ids),
            "auto_replies_joined": sum(1 for mark, reply in sent.auto_replies.items() if of.get(mark) == of.get(reply)),
            "clocks_touched": sum(1 for each in ids.values() if ledger.automatic_times.get(each) in ledger.clocks),
        }

    def _received(self) -> dict[str, int]:
        """Return the customers' files that are kept, by channel."""
        stored = ingest_pb2.ATTACHMENT_STATE_STORED
        return dict(
            Counter(channel for name, channel in self.sent.files.items() if self.ledger.files.get(name) == stored)
        )

    def _sent(self) -> dict[str, int]:
        """Return the agents' files that reached their customers, by channel."""
        return dict(Counter(channel for _, channel in self.sent.file_arrivals))

    def _by_channel(self) -> list[tuple[str, list[ObservedInteraction]]]:
        groups: dict[str, list[ObservedInteraction]] = defaultdict(list)
        for observed in self.ledger.interactions.values():
            groups[observed.channel or "?"].append(observed)
        return [*sorted(groups.items()), ("all", list(self.ledger.interactions.values()))]

    def _service_level(self) -> dict[str, Any]:
        offered = [i for i in self.ledger.interactions.values() if i.offered_at or i.ends]
        answered = sum(1 for i in offered if i.assigned_at and i.assigned_at - i.arrived_at <= SERVICE_LEVEL_MS)
        return {
            "answered_in_20_s": answered,
            "offered": len(offered),
            "share": answered / len(offered) if offered else 0.0,
        }

    def _csat(self) -> dict[str, Any] | None:
        for score in self.scores:
            if score.measure == "csat" and score.estimate.n:
                e = score.estimate
                if score.withheld:
                    return {"withheld": True, "n": e.n}
                return {"value": e.value, "n": e.n, "low": e.low, "high": e.high, "method": e.method}
        return None

    def _csat_text(self) -> str:
        csat = self._csat()
        if csat is None:
            return "no response was counted"
        if "withheld" in csat:
            return f"withheld (n={csat['n']})"
        return f"{csat['value']:.0%} [{csat['low']:.0%}, {csat['high']:.0%}] of {csat['n']} (95 %, {csat['method']})"


_COLUMNS = (
    *("channel", "#opened", "#completed", "#abandoned", "#open"),
    *("#to offer p50", "#to offer p99", "#first reply p50", "#first reply p99"),
)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile; None if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _channel_data(name: str, group: list[ObservedInteraction]) -> dict[str, Any]:
    to_offer = [i.offered_at - i.arrived_at for i in group if i.offered_at]
    to_reply = [i.replied_at - i.arrived_at for i in group if i.replied_at]
    return {
        "channel": name,
        "opened": len(group),
        **{end: sum(1 for i in group if end in i.ends) for end in sorted(TERMINAL)},
        "open": sum(1 for i in group if not i.ends),
        "to_offer_ms": {"p50": quantile(to_offer, 0.5), "p99": quantile(to_offer, 0.99)},
        "first_reply_ms": {"p50": quantile(to_reply, 0.5), "p99": quantile(to_reply, 0.99)},
    }


def _channel_row(name: str, group: list[ObservedInteraction]) -> tuple[object, ...]:
    data = _channel_data(name, group)
    times = (data[key][q] for key in ("to_offer_ms", "first_reply_ms") for q in ("p50", "p99"))
    return (
        name,
        data["opened"],
        data["completed"],
        data["abandoned"],
        data["open"],
        *(duration(t) if t is not None else "" for t in times),
    )


def _machine_words(machines: dict[str, int]) -> str:
    """Return "1 bounce tied to its delivery, 1 auto-reply joined, no clock touched"."""
    tied, joined, touched = (machines[name] for name in ("bounces_tied", "auto_replies_joined", "clocks_touched"))
    bounces = f"{tied} bounce{'s' * (tied != 1)} tied to {'its delivery' if tied == 1 else 'their deliveries'}"
    clocks = f"{touched} clocks touched" if touched else "no clock touched"
    return f"{bounces}, {joined} auto-repl{'y' if joined == 1 else 'ies'} joined, {clocks}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "none"
