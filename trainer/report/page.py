"""A report as one self-contained HTML page: verdict first, then why, then every detail.

No scripts, no network, nothing outside the file: a policy in its head forbids all of it. Every text
passes `trainer.report.plots.safe`. Light and dark follow the reader's system; the language is that of
the interface when the page is written.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from memory.i18n.interface_language import decimal, language, render, tr, trn
from memory.sentence import Sentence
from trainer.report.plots import Series, bar, curves, safe
from trainer.report.report import FATE_LABELS
from trainer.stages import by_stage, grouped

if TYPE_CHECKING:
    from trainer.report.report import Attempt, Beside, Change, Fate, Measure, Report

HEADS = {
    "published": ("Learned and published", "good"),
    "practised": ("Practice run: would pass the evaluation", "good"),
    "rejected": ("Rejected: current adapter unchanged", "bad"),
    "failed": ("Failed: current adapter unchanged", "bad"),
    "nothing": ("Nothing to train", ""),
}
SHOWN_CHANGES = 40


def report_page(report: Report) -> str:
    """Return the page."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    when = f"{report.started.astimezone():%Y-%m-%d %H:%M}"
    parts = [
        _verdict(report, when),
        _fates(report.fates),
        _beside(report),
        _gate(report.measures),
        _moved(report.changes),
        _curves(report),
        _attempts(report.attempts),
        _times(report),
        _foot(report),
    ]
    return (
        f'<!doctype html>\n<html lang="{language()}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Discern: {safe(tr(report.verdict))}, {when}</title><style>{style}</style></head>\n"
        f"<body>\n{''.join(part for part in parts if part)}</body></html>\n"
    )


def _verdict(report: Report, when: str) -> str:
    head, colour = HEADS.get(report.verdict, (report.verdict, ""))
    facts = [
        ("", when),
        (tr("model"), report.model),
        (tr("adapter"), report.adapter[:8] if report.adapter else tr("none")),
        (tr("strength"), f"{report.scale:.0%}" if report.measures else ""),
        (
            tr("learning rate"),
            decimal(f"{report.learning_rate:g}") if report.learning_rate else "",
        ),
        (tr("took"), _clock(report.seconds)),
    ]
    shown = "".join(
        f"<li>{f'{safe(name)} ' if name else ''}<b>{safe(value)}</b></li>"
        for name, value in facts
        if value
    )
    return (
        f'<header><h1 class="{colour}">{safe(tr(head))}</h1><p class="lead">'
        f"{_text(render(report.sentence))}</p>"
        f'<ul class="facts">{shown}</ul></header>\n'
        + _said(report.notes, tr("Notes"))
        + _said(report.advice, tr("Next steps"))
    )


def _said(sentences: Sequence[Sentence], head: str) -> str:
    if not sentences:
        return ""
    lines = map(render, sentences)
    items = "".join(f"<li>{_text(line[:1].upper() + line[1:])}</li>" for line in lines)
    return f'<section><h2>{safe(head)}</h2><ul class="say">{items}</ul></section>\n'


def _fates(fates: Sequence[Fate]) -> str:
    if not fates:
        return ""
    bad = [fate for fate in fates if fate.trained and not fate.good]
    good = [fate for fate in fates if fate.good]
    out = [fate for fate in fates if not fate.trained]
    cards = "".join(map(_card, [*bad, *good[:12]]))
    if len(good) > 12:
        more = "".join(map(_card, good[12:]))
        summary = trn("{n} more lesson learned", "{n} more lessons learned", len(good) - 12)
        cards += f"<details><summary>{summary}</summary>{more}</details>"
    if out:
        rest = "".join(map(_card, out))
        summary = trn("{n} left out", "{n} left out", len(out))
        cards += f"<details><summary>{summary}</summary>{rest}</details>"
    head = tr("Lessons: {good} of {all} learned", good=len(good), all=len(good) + len(bad))
    return f"<section><h2>{head}</h2>{cards}</section>\n"


def _card(fate: Fate) -> str:
    kind = "isgood" if fate.good else "isbad" if fate.trained else ""
    colour = "good" if fate.good else "bad" if fate.trained else "soft"
    empty = tr("(empty)")
    rows = [(tr("before"), fate.before or empty)]
    if fate.trained:
        rows.append((tr("after"), fate.after or empty))
    if not fate.good and fate.expected:
        rows.append((tr("expected"), fate.expected))
    if fate.good and fate.after.split() != fate.expected.split():
        rows.append((tr("expected"), fate.expected))
    rows += [(tr("wrong"), f"{asked} → {said or empty}") for asked, said in fate.reworded]
    if fate.recall is not None and fate.trained:
        alone = (
            tr("alone gives the expected reply too")
            if fate.recall
            else tr("alone does not give the expected reply")
        )
        rows.append((tr("recall"), alone))
    if fate.cause:
        rows += [(tr("why"), render(fate.cause)), (tr("try"), render(fate.advice))]
    body = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in rows)
    label = tr(FATE_LABELS.get(fate.fate, fate.fate))
    if fate.replaced_by:
        label = tr("superseded by {newer}", newer=fate.replaced_by[:8])
    if fate.kind == "naming":
        label = tr("{fate} (naming the error)", fate=label)
    return (
        f'<article class="{kind}"><h3>{_text(fate.asked)}<span class="{colour}">{safe(label)}</span>'
        f"</h3><dl>{body}</dl></article>"
    )


def _beside(report: Report) -> str:
    if not report.beside:
        return ""
    rows = "".join(
        f"<tr><td>{safe(render(row.name))}</td>"
        + "".join(
            f"<td>{value:.0%}{bar(value, _hue(row), width=180)}</td>"
            for value in (row.lessons, row.rephrasings)
        )
        + "</tr>"
        for row in report.beside
    )
    return (
        f"<section><h2>{tr('Compared with the base model and recall')}</h2>"
        "<table class=beside><tr><th></th>"
        f"<th>{tr('lessons, original wording')}</th><th>{tr('held-out rephrasings')}</th>"
        f"</tr>{rows}</table></section>\n"
    )


def _hue(row: Beside) -> str:
    return "good" if row.kind == "alone" else ""


def _gate(measures: Sequence[Measure]) -> str:
    if not measures:
        return ""
    rows = "".join(map(_measure, measures))
    read = tr(
        "The vertical line is the threshold. Shares must reach it; distance and perplexity must "
        "stay below it."
    )
    head = tr("Evaluation")
    return f"<section><h2>{head}</h2><p class=soft>{read}</p><table>{rows}</table></section>\n"


def _measure(item: Measure) -> str:
    colour, sign = ("good", "✓") if item.passed else ("warn", "!") if item.warned else ("bad", "✗")
    value, mark = item.value, item.threshold
    if item.name in ("kl", "perplexity"):  # not shares: the threshold is drawn in the middle
        value, mark = (value / (2 * mark) if mark > 0 else float(value > 0)), 0.5
    return (
        f'<tr><td class="{colour}">{sign}</td><td>{_text(render(item.sentence))}</td>'
        f"<td>{bar(value, colour, mark)}</td></tr>"
    )


def _moved(changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    counted = sorted(changes, key=lambda change: (change.undecided, not change.near))
    hidden = f"<span class=soft>{tr('(not shown)')}</span>"
    rows = "".join(
        f"<tr><td>{_text(change.asked)}</td><td>{_text(change.before)}</td>"
        f"<td>{_text(change.after) or hidden}</td><td class=soft>{_which(change)}</td></tr>"
        for change in counted[:SHOWN_CHANGES]
    )
    more = len(changes) - SHOWN_CHANGES
    rest = f"<p class=soft>{trn('And {n} more.', 'And {n} more.', more)}</p>" if more > 0 else ""
    head = tr(
        "Other answers that changed: {count}", count=sum(not change.undecided for change in changes)
    )
    read = tr(
        "“Undecided”: the base model itself could give either answer, so the evaluation does not "
        "count the change."
    )
    heads = "".join(f"<th>{name}</th>" for name in (tr("asked"), tr("before"), tr("after"), ""))
    return (
        f"<section><h2>{head}</h2><p class=soft>{read}</p><div class=wide><table class=moved>"
        f"<tr>{heads}</tr>{rows}</table></div>{rest}</section>\n"
    )


def _which(change: Change) -> str:
    parts = [tr("similar") if change.near else tr("unrelated")]
    if change.undecided:
        parts.append(tr("undecided"))
    if change.spread:
        parts.append(tr("uses a lesson's words"))
    if change.harm in ("refusal", "wrong"):
        parts.append(tr("now refuses") if change.harm == "refusal" else tr("was correct"))
    return ", ".join(parts)


def _curves(report: Report) -> str:
    if not report.curve:
        return ""
    loss = [(point.step, point.loss) for point in report.curve]
    learnt = [(point.step, point.learnt) for point in report.curve]
    figures = [
        _figure(tr("Loss"), curves([Series(loss, "calm", tr("loss"))], tr("Loss by step"))),
        _figure(
            tr("Share of wordings answered correctly in training"),
            curves(
                [Series(learnt, "good", tr("learned"))],
                tr("Share learned by step"),
                share=True,
            ),
        ),
    ]
    chosen = next((one for one in report.attempts if one.chosen), None)
    if chosen is not None and chosen.margins:
        figures.append(_margins(chosen, report.fates))
    return f"<section><h2>{tr('Training curves')}</h2>{''.join(figures)}</section>\n"


def _margins(attempt: Attempt, fates: Sequence[Fate]) -> str:
    names = {fate.difference: " ".join(fate.asked.split())[:80] for fate in reversed(fates)}
    bad = {fate.difference for fate in fates if fate.trained and not fate.good}
    margins = attempt.margins or {}
    series = [
        Series(points, "bad" if name in bad else "calm", names.get(name, name))
        for name, points in sorted(margins.items(), key=lambda item: item[0] in bad)
    ]
    return _figure(
        tr(
            "Margin of each lesson in nats. Above the dashed line, the model gives the expected "
            "reply. Point at a curve to see its question; red curves were not learned or were "
            "lost"
        ),
        curves(series, tr("Margin of each lesson by step"), zero=True),
    )


def _figure(caption: str, drawing: str) -> str:
    if not drawing:
        return ""
    return f"<figure><figcaption>{safe(caption)}.</figcaption>{drawing}</figure>"


def _attempts(attempts: Sequence[Attempt]) -> str:
    if len(attempts) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{one.number}{' ◆' if one.chosen else ''}</td>"
        f"<td class=number>{decimal(f'{one.rate:g}')}</td><td class=number>{one.seed}</td>"
        f"<td class=number>{one.steps}</td><td class=number>{one.lessons:.0%}</td>"
        f"<td class=number>{one.rephrasings:.0%}</td>"
        f"<td>{_text(render(one.change))}</td>"
        f"<td class={'good' if one.passed else 'bad'}>{_text(render(one.sentence))}</td></tr>"
        for one in attempts
    )
    numbers = (tr("rate"), tr("seed"), tr("steps"), tr("lessons"), tr("reworded"))
    heads = "".join(f"<th class=number>{name}</th>" for name in numbers)
    return (
        f"<section><h2>{tr('All attempts')}</h2><div class=wide><table>"
        f"<tr><th>{tr('attempt')}</th>{heads}"
        f"<th>{tr('changed')}</th><th>{tr('gate')}</th></tr>{rows}</table></div></section>\n"
    )


def _times(report: Report) -> str:
    """Return a table of the estimated and the actual time of each part."""
    if not report.estimated:
        return ""
    guessed, took = grouped(dict(report.estimated)), dict(grouped(by_stage(report.phases)))
    parts = [(tr(name), expected, took[name]) for name, expected in guessed]
    parts.append((tr("total"), sum(dict(guessed).values()), report.seconds))
    rows = "".join(
        f"<tr><td>{safe(name)}</td><td class=number>{_clock(expected)}</td>"
        f"<td class=number>{_clock(spent)}</td></tr>"
        for name, expected, spent in parts
    )
    heads = "".join(f"<th class=number>{name}</th>" for name in (tr("estimated"), tr("took")))
    if (count := len(report.attempts)) > 1:
        said = safe(trn("with {n} attempt", "with {n} attempts", count))
        rows += f"<tr><td colspan=3>{said}</td></tr>"
    return (
        f"<section><h2>{tr('Time')}</h2><table><tr><th></th>{heads}</tr>{rows}</table></section>\n"
    )


def _foot(report: Report) -> str:
    took = ", ".join(
        f"{safe(tr(name))} {tr('{number} s', number=decimal(f'{seconds:.1f}'))}"
        for name, seconds in report.phases
    )
    return f"<footer><p>{took}</p></footer>\n" if took else ""


def _text(text: str) -> str:
    return f"<bdi>{safe(text)}</bdi>" if text else ""


def _clock(seconds: float) -> str:
    if seconds < 120:
        return tr("{number} s", number=f"{seconds:.0f}")
    return tr("{number} min", number=f"{seconds / 60:.0f}")
