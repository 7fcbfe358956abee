"""Names of a script get shorter, and nothing else does."""

import re
from importlib.resources import files

import pytest

from service.browser.short_names import shorten_names
from service.routes.browser import compact


@pytest.mark.parametrize(
    ("script", "shortened"),
    [
        ("const one=1,two=one+one;f(two)", "const a=1,b=a+a;f(b)"),
        ("each(value=>value+1,(first,last)=>first)", "each(b=>b+1,(a,c)=>a)"),
        ("let size=2;g(`${size}px`,...size)", "let a=2;g(`${a}px`,...a)"),
        ("const a=b,value=a", "const c=b,d=c"),
        # A field, a key, what is taken apart, and what is put together.
        ("const value=one.value", "const value=one.value"),
        ("const name=1;f({name:name})", "const name=1;f({name:name})"),
        ("const{id}=one;f(id)", "const{id}=one;f(id)"),
        ("const id=1;f({page:2,id})", "const id=1;f({page:2,id})"),
        # A text and a regular expression.
        ('const href=1;f("href",href)', 'const href=1;f("href",href)'),
        ("const base=1;f(`base/${base}`)", "const base=1;f(`base/${base}`)"),
        ("const one=1;f(`${one.id}`,id=>id)", "const a=1;f(`${a.id}`,id=>id)"),
        ("const on=1;f(/^on|[/]is$/i.test(on))", "const on=1;f(/^on|[/]is$/i.test(on))"),
        # Names that the script did not make are the browser's.
        ("f(innerHeight,doc==innerHeight)", "f(innerHeight,doc==innerHeight)"),
    ],
)
def test_names_of_the_scripts_own_are_short(script: str, shortened: str) -> None:
    """Only a word that is a name wherever it stands gets a letter, which no other word is."""
    assert shorten_names(script) == shortened


def test_script_for_pages_keeps_its_fields_and_texts() -> None:
    """Every field, text and regular expression is in the served one, in the same order."""
    whole = compact(files("service.browser").joinpath("endcap.js").read_text(encoding="utf-8"))
    short = shorten_names(whole)
    assert len(short) < 0.9 * len(whole)
    field, text, key = r"(?<!\.)\.[A-Za-z_]\w*", r'"(?:[^"\\]|\\.)*"', r"\w+(?=:)"
    for part in (field, text, key, r"/\^.+?/i?\.test"):
        assert re.findall(part, short) == re.findall(part, whole)
        assert re.findall(part, whole)
