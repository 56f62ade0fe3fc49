"""The page on what each paper changed is made from the code, and has a sentence on every change."""

import tomllib

import pytest

from course import changes
from course.templates import SOLUTION_ONLY

OLD = '''
def same(x):
    """Words may differ."""
    return x  # and comments


class Model:
    def step(self, x):
        return x + 1


def gone():
    pass
'''
NEW = '''
def same(x):
    """Other words."""
    return x


class BetterModel:
    def step(self, x):
        return x + 2

    def also(self):
        pass
'''
SENTENCES = [
    {"of": "rssm.py:BetterModel.step", "why": "two is more"},
    {"of": "rssm.py:BetterModel.also", "why": "because"},
    {"of": "rssm.py:gone", "why": "not needed"},
]


@pytest.fixture
def chapter(tmp_path):
    """A function: sentences → Chapter of two small papers."""
    for name, code in (("old", OLD), ("new", NEW)):
        (tmp_path / "solutions" / name).mkdir(parents=True)
        (tmp_path / "solutions" / name / "rssm.py").write_text(code)
    content = {"title": "T", "text": "", "old": "old", "new": "new"}
    content["names"] = {"BetterModel": "Model"}
    return lambda sentences: changes.Chapter(content | {"changes": sentences}, tmp_path)


def test_functions_are_matched_and_only_code_counts(chapter):
    made = chapter(SENTENCES)
    assert made.same == ["rssm.py:same"]
    assert [kind for _, kind, _ in made.rows] == ["changed", "new", "gone"]
    page = "\n".join(made.lines())
    assert "| changed | `BetterModel.step` | two is more |" in page
    assert "-     return x + 1\n+     return x + 2" in page and "words" not in page


@pytest.mark.parametrize("number", range(3))
def test_a_change_without_a_sentence_is_an_error(chapter, number):
    left = SENTENCES[:number] + SENTENCES[number + 1 :]
    with pytest.raises(ValueError, match=f"{SENTENCES[number]['of']} is .*: why"):
        chapter(left)


def test_a_sentence_on_what_did_not_change_is_an_error(chapter):
    with pytest.raises(ValueError, match="same: a sentence on no change"):
        chapter([*SENTENCES, {"of": "rssm.py:same", "why": "?"}])


def test_a_sentence_on_a_class_covers_what_has_none_of_its_own(chapter):
    both = [SENTENCES[2], {"of": "rssm.py:BetterModel", "why": "all of it"}]
    with pytest.raises(ValueError, match="BetterModel: a sentence on changed, new"):
        chapter(both)
    assert len(chapter([*both, SENTENCES[0]]).rows) == 3


def test_every_file_of_a_solution_is_read_but_those_without_a_template():
    content = tomllib.loads((changes.ROOT / "docs/changes.toml").read_text("utf-8"))
    folders = {chapter[side] for chapter in content["chapter"] for side in ("old", "new")}
    paths = [path for name in folders for path in (changes.ROOT / "solutions" / name).glob("*.py")]
    names = {path.name for path in paths} - {"__init__.py", *SOLUTION_ONLY}
    assert names == set(changes.FILES)


def test_the_page_is_what_is_made(capsys):
    assert changes.main(["--check"]) == 0, capsys.readouterr().err


def test_every_sentence_is_one():
    content = tomllib.loads((changes.ROOT / "docs/changes.toml").read_text("utf-8"))
    for chapter in content["chapter"]:
        for entry in chapter["changes"]:
            assert entry["why"].strip().endswith((".", ")")), entry
