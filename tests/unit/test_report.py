"""The report must stand alone, must survive hostile text, and must count what the verdicts say."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from streams.events import DeadReason, NearReference, Reason, ReasonCode, SampleJudged
from streams.tools.audit.balance import Balance, Offence
from streams.tools.report.chart import bar, chart
from streams.tools.report.levels import by_reason, by_strength, choose, unmade
from streams.tools.report.page import CARDS, ROWS, DeadLetter, ReportData, html, needed, write
from streams.tools.report.pictures import SIDE, picture
from streams.tools.report.words import DEAD_REASONS, REASONS

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LIMITS = {"similarity": 0.6, "margin": 0.1}


def png(colour, size=(64, 64)):
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "PNG")
    return held.getvalue()


SAMPLE, REFERENCE = png("red"), png("blue")
SHA = {hashlib.sha256(image).hexdigest(): image for image in (SAMPLE, REFERENCE)}
SAMPLE_SHA, REFERENCE_SHA = SHA


def judged(number=0, *codes: str, strength: float | None = 0.5, similarity: float | None = 0.8, **fields: Any):
    reasons = tuple(Reason(code=code, text=f"because of {code}") for code in codes)
    body: Mapping[str, Any] = {
        "sample_id": f"{number:032x}",
        "kind": "generation",
        "source": "shop",
        "index": 0,
        "identity": "anna",
        "model": "face_gan",
        "seed": 7,
        "strength": strength,
        "image": {"sha256": SAMPLE_SHA, "size": len(SAMPLE)},
        "decision": "flagged" if codes else "accepted",
        "reasons": reasons,
        "similarity": similarity,
        "margin": 0.3,
        "nearest": (NearReference(reference_id="ref-1", identity="anna", similarity=0.9),),
        "faces": 1,
        "face_box": (16, 16, 48, 80),
        "limits": LIMITS,
        "policy_version": "p@1",
        "embedding_space": "s",
        "gallery_version": "g",
        "judged_at": NOW,
    }
    return SampleJudged.model_validate({**body, **fields})


def report(*samples: SampleJudged, **fields: Any):
    data = ReportData("A run", NOW, samples, references={"ref-1": REFERENCE_SHA}, image=SHA.get)
    return replace(data, **fields)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text between."""

    def __init__(self, page) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


MIXED = (
    judged(1, strength=0.0, similarity=0.9),
    judged(2, "mismatch", "ambiguous", strength=0.9, similarity=0.3),
    judged(3, "no-face", strength=0.9, similarity=None, nearest=(), face_box=None),
    judged(4, "no-consent", strength=0.0, similarity=None, image=None, nearest=(), face_box=None),
)


def test_the_file_needs_nothing_beside_itself(tmp_path):
    path = tmp_path / "new" / "report.html"
    write(report(*MIXED), path)
    page = path.read_text(encoding="utf-8")
    elements = Elements(page)
    assert not {tag for tag, _ in elements.tags} & {"script", "link", "iframe", "object"}
    assert len(elements.named("img")) == 5
    for attributes in elements.named("img"):
        assert attributes["src"].startswith("data:image/jpeg;base64,")
        assert attributes["alt"]
    assert not re.search(r"""(?:src|href)=["'](?!data:|\#)|url\(|@import""", page)


def test_text_from_outside_never_becomes_markup():
    evil = "<script>alert(1)</script>"
    sample = judged(1, "mismatch", identity=evil, model=evil, reasons=(Reason(code="mismatch", text=evil),))
    letter = DeadLetter(evil, evil, evil, evil, 0, 0)
    data = report(sample, title=evil, note=evil, versions={evil: evil}, dead_letters=(letter,))
    page = html(data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 9


def test_every_decision_and_reason_is_said_in_words():
    text = Elements(html(report(*MIXED))).text
    assert "1 accepted" in text
    assert "2 flagged" in text
    assert "1 not judged" in text
    assert "because of mismatch" in text
    assert "because of ambiguous" in text
    assert REASONS[ReasonCode.MISMATCH] in text


def test_a_sample_that_was_never_made_is_listed_without_a_card():
    elements = Elements(html(report(*MIXED)))
    assert "1 of them was never made" in " ".join(elements.text.split())
    assert len(elements.named("article")) == 3
    assert f"{4:032x}" in elements.text


def test_the_balance_is_shown_as_the_audit_gave_it():
    counts = dict.fromkeys(("dead", "in_flight", "unread", "conflicting", "misnamed", "inexact", "expired"), 0)
    good = Balance(requested=5, accepted=3, flagged=2, lost=0, phantom=0, duplicates=1, **counts)
    assert "5 requested = 3 accepted + 2 flagged" in html(report(*MIXED, balance=good.as_dict()))
    assert "do not balance" not in html(report(*MIXED, balance=good.as_dict()))
    bad = replace(good, lost=1, unaccounted=1, offences={"lost": (Offence("f" * 32, "nowhere"),)})
    page = html(report(*MIXED, balance=bad.as_dict()))
    assert "do not balance" in page
    assert "f" * 32 in page


def test_dead_letters_say_reason_detail_and_place():
    letters = [
        DeadLetter("a" * 32, "not-json", "line 1", "generation.requests", 3, number) for number in range(ROWS + 1)
    ]
    text = Elements(html(report(dead_letters=letters))).text
    assert DEAD_REASONS[DeadReason.NOT_JSON] in text
    assert "generation.requests, partition 3, offset 0" in text
    assert f"offset {ROWS}" not in text
    assert "and 1 more" in text


def test_a_report_of_nothing_is_a_page():
    assert "0 samples were checked" in Elements(html(ReportData("Nothing", NOW, ()))).text


def test_needed_names_exactly_the_images_that_are_asked_for():
    asked: set[str] = set()
    data = report(*MIXED, *(judged(100 + number) for number in range(40)), image=lambda sha256: asked.add(sha256))
    html(data)
    assert needed(data) == asked == set(SHA)


def test_a_missing_picture_is_said_not_hidden():
    elements = Elements(html(report(MIXED[0], image=lambda _sha256: None)))
    assert not elements.named("img")
    assert elements.text.count("no picture") == 2


def test_every_reason_has_a_sentence():
    assert set(REASONS) == set(ReasonCode)
    assert set(DEAD_REASONS) == set(DeadReason)


def test_levels_count_and_average_their_own_samples():
    low, high = by_strength([*MIXED, judged(5, "leak", strength=0.0, similarity=0.7)])
    assert (low.strength, low.accepted, low.flagged, low.abstained, low.mean) == (0.0, 1, 1, 0, 0.8)
    assert (low.reasons, high.reasons) == ({"leak": 1}, {"mismatch": 1, "no-face": 1})
    assert (high.strength, high.accepted, high.flagged, high.abstained, high.mean) == (0.9, 0, 2, 1, 0.3)
    [alone] = by_strength([judged(strength=None, similarity=0.5), judged(1, strength=None, similarity=0.7)])
    assert alone.label == "no σ"
    assert alone.spread == pytest.approx(0.1414, abs=1e-4)


def test_samples_that_were_never_made_are_in_no_level():
    made, never = judged(1, strength=0.0), judged(2, "no-consent", strength=0.0, similarity=None, image=None)
    [level] = by_strength([made, never])
    assert level.samples == (made,)
    assert unmade([made, never]).samples == (never,)
    row = re.search(r"<tr><td><b>0</b></td>(.*?)<td class=\"bar\">", html(report(made, never)), re.DOTALL)
    assert row is not None
    assert re.findall(r">(\d+)<", row[1]) == ["1", "1", "0", "0"]


def test_reasons_are_counted_as_primary_and_as_given():
    lines = {line.code: (line.primary, line.given) for line in by_reason([*MIXED, judged(9, "ambiguous")])}
    assert lines == {"ambiguous": (1, 2), "mismatch": (1, 1), "no-face": (1, 1), "no-consent": (1, 1)}


def test_the_choice_mixes_both_decisions_and_every_reason():
    accepted = [judged(number, similarity=0.7 + number / 1000) for number in range(50)]
    flagged = [judged(100 + number, "mismatch", similarity=number / 1000) for number in range(50)]
    rare = judged(200, "leak", similarity=0.0)
    [level] = by_strength([*accepted, *flagged, rare])
    chosen = choose(level, CARDS)
    assert len(chosen) == CARDS
    assert rare in chosen
    assert accepted[0] in chosen
    assert accepted[-1] in chosen
    assert sum(one.decision == "accepted" for one in chosen) == CARDS // 2
    assert chosen == sorted(chosen, key=lambda one: -one.similarity)


@pytest.mark.parametrize(("accepted", "flagged"), [(50, 2), (2, 50), (0, 50), (50, 0), (3, 3)])
def test_room_that_one_decision_leaves_goes_to_the_other(accepted, flagged):
    samples = [judged(n) for n in range(accepted)] + [judged(100 + n, "leak") for n in range(flagged)]
    [level] = by_strength(samples)
    chosen = choose(level, CARDS)
    assert len(chosen) == min(CARDS, accepted + flagged)
    assert len({one.sample_id for one in chosen}) == len(chosen)


def test_the_limit_stands_on_the_bar_where_its_number_is():
    assert (bar(0.75, 0.5).low, bar(0.75, 0.5).filled, bar(0.75, 0.5).limit) == (0.0, 75.0, 50.0)
    assert (bar(-0.5, 0.5).low, bar(-0.5, 0.5).filled, bar(-0.5, 0.5).limit) == (-1.0, 25.0, 75.0)


def test_the_chart_falls_where_similarity_falls():
    drawn = chart(by_strength(MIXED), 0.6)
    assert drawn is not None
    first, last = drawn.marks
    assert first.x < last.x
    assert first.y < drawn.limit_y < last.y
    assert len(drawn.dots) == 2


def test_there_is_no_chart_of_one_level():
    assert chart(by_strength(MIXED[:1]), 0.6) is None


def test_a_large_picture_is_scaled_down_and_keeps_its_shape():
    shown = picture(png("green", (512, 256)))
    assert shown is not None
    assert (shown.width, shown.height) == (512, 256)
    with Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2]))) as image:
        assert image.size == (SIDE, SIDE // 2)


@pytest.mark.parametrize("encoded", [None, b"", b"GIF89a", SAMPLE[:60]])
def test_what_is_no_picture_is_none(encoded):
    assert picture(encoded) is None


def test_a_face_box_beyond_the_edge_stays_on_the_picture():
    page = html(report(judged(1, face_box=(-16, 16, 48, 80))))
    assert "left:0.0%;top:25.0%;width:75.0%;height:75.0%" in page
