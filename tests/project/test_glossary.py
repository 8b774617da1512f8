"""Lessons explain a term where the course first uses it: by a link to the glossary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import notebooks

GLOSSARY = Path("docs", "glossary.md")

# Entry of the glossary → how lessons write it, where that is not simply the entry's name.
TERMS = {
    "Class": r"class(?:es)?",
    "Validation set": r"validation (?:set|photos|pictures)",
    "Test set": r"test set",
    "Leak": r"leaks?",
    "Near duplicate": r"(?:near )?duplicates?",
    "Preprocessing": r"preprocessing",
    "Normalization": r"normaliz\w+",
    "Augmentation": r"augment\w*",
    "View": r"views?",
    "Tensor": r"tensors?",
    "Cross-validation": r"cross-validat\w+",
    "Convolution": r"convolutions?",
    "Filter": r"filters?",
    "Feature map": r"feature maps?",
    "Channel": r"channels?",
    "Block": r"blocks?",
    "Stage": r"stages?",
    "ReLU": r"ReLU",
    "Pooling": r"pooling",
    "BatchNorm": r"BatchNorm",
    "Buffer": r"buffers?",
    "Parameter": r"weights",
    "Backbone": r"backbones?",
    "Head": r"heads?",
    "Features": r"features?(?! (?:maps?|layers?))",
    "Multi-level features": r"multi-level features",
    "Hook": r"hooks?",
    "Embedding": r"embeddings?",
    "Loss": r"loss(?:es)?",
    "Gradient step": r"gradients?",
    "Learning rate": r"learning rates?",
    "Optimizer": r"optimizers?",
    "Adam": r"Adam",
    "L-BFGS": r"L-BFGS",
    "Batch": r"batch(?:es)?",
    "Epoch": r"epochs?",
    "Training mode and evaluation mode": r"(?:evaluation|eval|training) mode",
    "Dropout": r"dropout",
    "Overfitting": r"overfit\w*",
    "Penalty": r"penalt(?:y|ies)",
    "Early stopping": r"early stopping",
    "From scratch": r"from scratch",
    "Seed": r"seeds?",
    "Pretraining": r"pretrain\w*",
    "ImageNet": r"ImageNet",
    "Transfer learning": r"transfer learning",
    "Frozen": r"frozen|freez\w+",
    "Cache": r"cached?",
    "Fine-tuning": r"fine-tun\w+",
    "Unfreezing": r"unfreez\w+|unfrozen",
    "Distillation": r"distill\w*",
    "Logits": r"logits?",
    "Softmax": r"softmax",
    "Logistic regression": r"logistic regression",
    "Cross-entropy": r"cross-entropy",
    "NLLLoss": r"NLLLoss",
    "Nat": r"nats?",
    "Ridge regression": r"ridge regression",
    "Hidden layer": r"hidden layers?",
    "Accuracy": r"accurac(?:y|ies)",
    "Confidence interval": r"(?:confidence )?intervals?",
    "Wilson interval": r"Wilson(?:'s)? interval",
    "Student's interval": r"Student's",
    "Paired comparison": r"paired comparisons?",
    "McNemar's test": r"McNemar's",
    "Baseline": r"baselines?|controls?",
    "Confusion matrix": r"confusion",
    "Calibration": r"calibrat\w+",
    "Heat map": r"heat maps?",
    "Grad-CAM": r"Grad-CAM",
    "Nearest neighbors": r"nearest neighbors?",
    "Cosine similarity": r"cosine",
    "safetensors": r"safetensors",
    "Pickle": r"pickles?",
}


def prose(source: Path) -> str:
    """What a lesson says in sentences: without its table of facts, headings, code and sources."""
    cells = [c.source for c in notebooks.read_text(source).cells if c.cell_type == "markdown"]
    text = "\n\n".join(cells).partition("\n## Sources")[0]
    text = re.sub(r"^(```+).*?^\1|^(?:#|\|).*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|<code>.*?</code>", "", text)


def anchor(entry: str) -> str:
    """The place of an entry on the page, as GitHub and the site name it."""
    return re.sub(r"[^\w\- ]", "", entry.lower()).replace(" ", "-")


def unexplained(sources: list[Path], terms: dict[str, str]) -> list[str]:
    """Terms whose first use in the course does not link to their entry."""
    texts = {source: re.sub(r"\s+", " ", prose(source)) for source in sources}
    found = []
    for entry, pattern in terms.items():
        for source, text in texts.items():
            links = rf"\[[^\[\]]*\]\(\.\./docs/glossary\.md#{re.escape(anchor(entry))}\)"
            linked = [match.span() for match in re.finditer(links, text)]
            plain = re.sub(r"\]\([^)]*\)", lambda match: "]" + " " * (len(match[0]) - 1), text)
            use = re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", plain, re.IGNORECASE)
            if use is None:
                continue
            if not any(start <= use.start() < end for start, end in linked):
                around = text[max(0, use.start() - 40) : use.end() + 40]
                found.append(f"{source.stem}: {entry} is not explained at: …{around}…")
            break
    return found


def test_every_term_has_an_entry(repository: Path) -> None:
    entries = re.findall(r"^### (.+)$", (repository / GLOSSARY).read_text("utf-8"), re.MULTILINE)
    assert sorted(set(TERMS) - set(entries)) == []


def test_the_first_use_of_a_term_is_linked_to_the_glossary() -> None:
    found = unexplained(notebooks.lessons(), TERMS)
    assert not found, "\n".join(found)


@pytest.fixture
def course(tmp_path: Path) -> list[Path]:
    """Two lessons; the second explains what a stage is."""
    texts = [
        "# # Are stages used in a title?\n#\n# | You should know | stages |\n#\n# No `stage` here.",
        "# A [stage of\n# layers](../docs/glossary.md#stage). A stage.\n# ## Sources\n# heads",
    ]
    paths = [tmp_path / "01_a.py", tmp_path / "02_b.py"]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(f"# %% [markdown]\n{text}\n", encoding="utf-8")
    return paths


def test_a_linked_first_use_is_enough(course: list[Path]) -> None:
    assert unexplained(course, {"Stage": r"stages?", "Head": r"heads?"}) == []


@pytest.mark.parametrize("before", ["The Stages differ.", "[Stages](../docs/glossary.md#head)"])
def test_an_earlier_use_without_the_link_is_found(course: list[Path], before: str) -> None:
    text = course[0].read_text(encoding="utf-8")
    course[0].write_text(f"{text}\n#\n# {before}\n", encoding="utf-8")
    (found,) = unexplained(course, {"Stage": r"stages?"})
    assert found.startswith("01_a: Stage is not explained at: …")
