"""Names that no configuration may have, and texts that it may: they break nothing where they are shown all the same."""

ODD = {
    "markup": "<script>alert(1)</script>",
    "quotes": "a\"b'c`d`\\<b>\\",
    "marks": "*a* _b_ [c](d) ![e] ~f~ | g &lt; h #",
    "long": "very-" * 40,
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628\u064a",
    "latex": r"50 % $x$ {y} \cite{z} a--b ^^M # & [c]",
}
REVERSED = "a\u202eb\u2066c"
"""With control characters of the reading direction."""
