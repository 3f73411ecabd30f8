from bench.report.facts.names import ranks, readable


def test_spaces_and_line_ends_of_a_token_are_seen() -> None:
    assert readable(" a\n") == "\u2423a\\n"
    assert readable("\x12\x1b[1m") == "\u27e8U+0012\u27e9\u27e8U+001B\u27e9[1m"
    assert readable("") == "(empty)"
    assert readable("x" * 40) == f"{'x' * 11}\u2026{'x' * 10}"


def test_one_rank_is_no_range() -> None:
    assert (ranks(1, 1), ranks(2, 4)) == ("1", "2\u20134")
