"""The starter's vocabulary: a small byte-level BPE like Qwen's, trained on its own conversations.

Every byte has a token, so any text can be encoded and decoded. A word is split into the same tokens
with or without a space before it, because merges with the space come last and only for frequent whole
words, and a line break never merges. Both make it easier to copy an unknown word. The same texts give
the same vocabulary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from trainer.starter.asking import of_fact, typed
from trainer.starter.talk import conversation
from trainer.starter.world import facts

# Qwen's pre-tokenizer, as llama.cpp applies it to `tokenizer.ggml.pre = qwen2`.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = ("<think>", "</think>")
SPACE = "Ġ"  # the space in a byte-level vocabulary


def texts(seed: int, conversations: int) -> list[str]:
    """Return the texts the vocabulary is trained on: every fact, and random conversations."""
    random = Random(f"vocabulary {seed}")
    found: list[str] = []
    for fact in facts():
        question = of_fact(fact)
        wordings = (
            question.wordings[:2] if fact.relation in ("sum", "difference") else question.wordings
        )
        for text in wordings:
            found += [typed(random, text, fact.language), text, fact.reply] * 6
    for index in range(conversations):
        for turn in conversation(random, index % 2 == 0):
            found += [turn.content, turn.reply]
    return found


def train(seed: int, size: int, conversations: int = 4000) -> Tokenizer:
    """Return a tokenizer with about `size` tokens."""
    with_space = size // 4
    pieces: Counter[str] = Counter()
    spaced: Counter[str] = Counter()
    cut = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    for text in texts(seed, conversations):
        for piece, _ in cut.pre_tokenize_str(text):
            bare = piece.strip()
            if bare:
                pieces[bare] += 1
                if piece.startswith(" "):
                    spaced[bare] += 1
    inner = _tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size - with_space - len(CONTROL) - len(THINK),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(_repeat(pieces), trainer)
    return _with_spaces(inner, spaced, with_space)


def _repeat(pieces: Counter[str]) -> Iterable[list[str]]:
    for piece, count in sorted(pieces.items()):
        yield [piece] * count


def _tokenizer(model: models.BPE) -> Tokenizer:
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made


def _with_spaces(inner: Tokenizer, spaced: Counter[str], count: int) -> Tokenizer:
    state = json.loads(inner.to_str())["model"]
    vocab: dict[str, int] = state["vocab"]
    merges = [tuple(merge) for merge in state["merges"]]
    for word, _ in sorted(spaced.items(), key=lambda pair: (-pair[1], pair[0])):
        whole = inner.encode(word).tokens
        if count and len(whole) == 1 and SPACE + whole[0] not in vocab:
            vocab[SPACE + whole[0]] = len(vocab)
            merges.append((SPACE, whole[0]))
            count -= 1
    made = _tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL])
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in THINK])
    made.encode_special_tokens = True  # text never becomes a control token
    return made


def load(path: Path) -> Tokenizer:
    """Return the tokenizer saved at `path`."""
    made = Tokenizer.from_file(str(path))
    made.encode_special_tokens = True
    return made


def merges(tokenizer: Tokenizer) -> list[str]:
    """Return the merges as GGUF stores them."""
    return [" ".join(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def tokens(tokenizer: Tokenizer) -> list[str]:
    """Return all tokens in the order of their ids."""
    found = [tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())]
    return [token or "" for token in found]
