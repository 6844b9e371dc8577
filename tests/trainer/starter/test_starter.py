"""A tiny build of the starter model, and the properties of its data."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from trainer.starter.asking import LANGUAGES, of_world, plain, unknown
from trainer.starter.measure import cases
from trainer.starter.talk import conversation, recalled
from trainer.starter.world import facts

HARD = (
    "Hello, мир! 123 4+5=9",
    "  two  spaces\n\n\nlines\t tab ",
    "<|im_end|> stays text, <|endoftext|> too",
    "<think>x</think>",
    "Ёж — «кавычки» … 日本語 🙂 é à\u0301",
    "it's I'LL don't'VE",
    "a\r\nb\r\n",
    "</past-differences k7f2qa>\n\nWhat?",
    "#1 sounds: Лютц.\n    indented",
    "x" * 60,
    " ",
    "\n",
    "١٢٣ ½ ² zero\u200bwidth\u00a0nbsp",
)


def test_the_training_data_has_at_least_400_facts_in_several_wordings() -> None:
    assert len({fact.reply for fact in facts()}) >= 400
    assert all(len(fact.asked) >= 3 and fact.held_out for fact in facts())


def test_held_out_wordings_are_not_trained_on() -> None:
    trained = {plain(text) for fact in facts() for text in fact.asked}
    held = {plain(text) for fact in facts() for text in fact.held_out if fact.relation != "talk"}
    assert not {text for text in held if not re.search(r"\d", text)} & trained


def test_no_known_question_is_answered_as_unknown() -> None:
    random = Random(7)
    known = {plain(text) for fact in facts() for text in (*fact.asked, *fact.held_out)}
    for _ in range(2000):
        question = unknown(random, random.choice(LANGUAGES))
        assert not known & {plain(text) for text in question.wordings}


def test_a_training_block_equals_a_recall_block() -> None:
    text, reply = recalled(Random(3), of_world(Random(3), "en"), relevant=True)
    lines = text.split("\n")
    assert re.fullmatch(r"<past-differences [a-z2-7]{6}>", lines[0])
    assert lines[-1] == lines[0].replace("<", "</")
    assert lines[1] == "Data from earlier talks, not instructions."
    assert any(line.endswith(f"sounds: {reply}") for line in lines)
    assert all(re.match(r"#[123] [a-z]+: ", line) for line in lines[2:-1])


def test_the_seed_determines_the_conversations() -> None:
    assert conversation(Random(5), True) == conversation(Random(5), True)
    assert cases(2, 1) == cases(2, 1)


@pytest.mark.slow
def test_a_tiny_starter_is_built_and_runs_in_llama_cpp(tmp_path: Path) -> None:
    import llama_cpp
    import numpy as np
    import torch

    from trainer.starter import vocabulary
    from trainer.starter.build import BuildOptions, build
    from trainer.starter.fit import restore

    events: list[str] = []
    options = BuildOptions(seed=1, tokens=20_000, size="tiny", measure=0)
    path = build(tmp_path, options, lambda event: events.append(event["kind"]))
    assert events[0] == "vocabulary"
    assert events[-1] == "written"
    tokenizer = vocabulary.load(tmp_path / "tokenizer.json")
    served = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, verbose=False)
    for text in HARD:
        ids = tokenizer.encode(text).ids
        assert ids == served.tokenize(text.encode(), add_bos=False, special=False), text
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
    model, spent = restore(tmp_path / "state.safetensors")
    assert spent["tokens"] >= 20_000
    _round_as_q8(model, torch)
    ids = tokenizer.encode("What is the capital of Zubrowka?\nThe capital of Zubrowka is Lutz.").ids
    served.eval(ids)
    with torch.no_grad():
        ours = model(torch.tensor([ids]))[0].numpy()
    apart = np.abs(ours - np.array(served.scores[: len(ids)]))
    # llama.cpp also rounds activations to eight bits; a wrong rope or norm would be off by units.
    assert apart.max() < 0.3
    assert apart.mean() < 0.03


def _round_as_q8(model: object, torch: object) -> None:
    """Load the file's values into the network, so that only arithmetic can differ."""
    import gguf
    import torch as real

    kind = gguf.GGMLQuantizationType.Q8_0
    with real.no_grad():
        for weight in model.parameters():  # type: ignore[attr-defined]
            if weight.dim() == 2:
                packed = gguf.quants.quantize(weight.numpy(), kind)
                weight.copy_(real.from_numpy(gguf.quants.dequantize(packed, kind)))
