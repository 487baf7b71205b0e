"""What a language model answers, and how near that is to the accepted answers: Rouge-L."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zo_core.data.tokens import Tokenizer
from zo_core.loss.module_loss import evaluating

if TYPE_CHECKING:
    from zo_core.data.dataset import Texts
    from zo_core.models.lm import LanguageModel

_ANSWER_TOKENS = 48


def generate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    most: int,
    batch: int = 32,
) -> list[str]:
    """Answer prompts greedily, each token the likeliest, until the end token.

    Args:
        model: any causal language model.
        tokenizer: the model's.
        prompts: what the answers follow.
        most: tokens of an answer, at most; the model's positions may end it sooner.
        batch: prompts at a time, padded to the left.

    Returns:
        An answer for each prompt, without white space around it.
    """
    import torch

    answers = []
    with torch.inference_mode(), evaluating(model):
        for start in range(0, len(prompts), batch):
            rows = [tokenizer.encode(prompt) for prompt in prompts[start : start + batch]]
            made = _continue(model, rows, tokenizer.end_id, most)
            answers += [tokenizer.decode(ids).strip() for ids in made]
    return answers


def _continue(
    model: LanguageModel, rows: list[list[int]], end_id: int, most: int
) -> list[list[int]]:
    import torch
    from transformers import GenerationConfig

    width = max(map(len, rows))
    ids = torch.tensor([[end_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    config = GenerationConfig(
        max_new_tokens=max(1, min(most, model.positions - width)),
        do_sample=False,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )
    network: Any = model.network
    made = network.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    return [_until(row, end_id) for row in made[:, width:].tolist()]


def _until(ids: list[int], end_id: int) -> list[int]:
    return ids[: ids.index(end_id)] if end_id in ids else ids


def rouge_l(answers: Sequence[str], accepted: Sequence[Sequence[str]]) -> list[float]:
    """Compute each answer's Rouge-L F-measure against the nearest accepted one, in [0, 1].

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, by the rouge-score package,
    with stemming as Natural Instructions' own evaluation has it.

    Raises:
        ValueError: not as many answers as lists of accepted ones, or an empty list.
        ImportError: rouge-score is not installed.

    >>> rouge_l(["the blue sky"], [["the sky", "grass"]])
    [0.8]
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise ImportError('rouge-score is not installed: pip install "zobench[llm]"') from error
    if len(answers) != len(accepted) or not all(accepted):
        raise ValueError(
            f"each of {len(answers)} answers must have accepted ones, got {len(accepted)} lists"
        )
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(float(scorer.score(target, answer)["rougeL"].fmeasure) for target in targets)
        for answer, targets in zip(answers, accepted, strict=True)
    ]


def score_answers(model: LanguageModel, texts: Texts) -> dict[str, list[float]]:
    """Answer the test items; return the Rouge-L of each, by task."""
    scores = dict[str, list[float]]()
    for number, name in enumerate(texts.task_names):
        items = (texts.test_tasks == number).nonzero().flatten().tolist()
        prompts = [texts.test_prompts[i] for i in items]
        answers = generate(model, texts.tokenizer, prompts, most=_ANSWER_TOKENS)
        scores[name] = rouge_l(answers, [texts.test_answers[i] for i in items])
    return scores
