"""What a reader without HTML sees of a mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.channels.html_text import text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Hello", "Hello"),
        ("<p>Hello   <b>Ann</b>,</p>\n<p>you have\n 5 lots.</p>", "Hello Ann,\n\nyou have 5 lots."),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<a href='https://a.example/x'>here</a>.", "here (https://a.example/x)."),
        ("<a href='https://a.example'>https://a.example</a>", "https://a.example"),
        ("<a href='javascript:alert(1)'>here</a>", "here"),
        ("<style>p { color: red }</style><script>alert(1)</script><p>Hi</p>", "Hi"),
        ("a &lt; b &amp; c &#8364; 5", "a < b & c € 5"),
        ("<table><tr><td>lots</td><td>5</td></tr><tr><td>swap</td><td>1</td></tr></table>", "lots 5\nswap 1"),
        ("<h1>Title</h1>Text", "Title\n\nText"),
        ("</a></p><p>odd", "odd"),
        ("", ""),
    ],
)
def test_it_reads_as_it_was_meant(html: str, text: str) -> None:
    assert text_of(html) == text + "\n"


@given(st.text(alphabet="<>/abp&;=\"' \nscriptulh", max_size=300))
def test_whatever_it_is_text_comes_out(html: str) -> None:
    assert text_of(html).endswith("\n")
