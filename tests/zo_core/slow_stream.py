"""zo-stream/1 once more, in Python integers, one element at a time: slow, and independent."""

from __future__ import annotations

import math

WORD = 1 << 32


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox4x32-10 as its paper's figure draws it: ten rounds, the key bumped between them."""
    a, b, c, d = counter
    for number in range(10):
        round_key = (
            (key[0] + number * 0x9E3779B9) % WORD,
            (key[1] + number * 0xBB67AE85) % WORD,
        )
        high_a, low_a = divmod(0xD2511F53 * a, WORD)
        high_c, low_c = divmod(0xCD9E8D57 * c, WORD)
        a, b, c, d = high_c ^ b ^ round_key[0], low_c, high_a ^ d ^ round_key[1], low_a
    return a, b, c, d


def key_of(seed: int) -> tuple[int, int]:
    return seed % WORD, seed // WORD


def sign(seed: int, tensor: int, i: int) -> int:
    block = i // 128
    words = philox((block % WORD, block // WORD, tensor, 0), key_of(seed))
    bit = words[(i % 128) // 32] >> (i % 32) & 1
    return -1 if bit else 1


def signs(seed: int, tensor: int, n: int) -> list[int]:
    return [sign(seed, tensor, i) for i in range(n)]


def gaussian_element(seed: int, tensor: int, i: int) -> float:
    """Box-Muller before the rounding to 2^-16."""
    block = i // 4
    words = philox((block % WORD, block // WORD, tensor, 1), key_of(seed))
    pair = (i % 4) // 2
    u0, u1 = ((word + 0.5) / WORD for word in words[2 * pair : 2 * pair + 2])
    radius = math.sqrt(-2.0 * math.log(u0))
    return radius * (math.sin if i % 2 else math.cos)(2.0 * math.pi * u1)


def direction_seed(run_seed: int, round_index: int, client_id: int, direction: int) -> int:
    words = philox((round_index, client_id, direction, 0x5A4F5345), key_of(run_seed))
    return words[0] + WORD * words[1]
