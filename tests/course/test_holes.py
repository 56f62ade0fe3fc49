"""Holes: finding, filling and emptying them, and what the build refuses."""

import pytest

from course import holes

SOURCE = '''"""A module."""


class Box:
    def area(self, a, b):
        """a b"""
        # EXERCISE 1.2: multiply (needs 1.1)
        product = a * b

        return product
        # END 1.2


def last(x):
    # EXERCISE 1.10: the last entry
    return x[-1]
    # END 1.10
'''


def test_a_hole_knows_its_function_task_needs_and_size():
    found = holes.holes(SOURCE)
    assert list(found) == ["1.2", "1.10"]
    area = found["1.2"]
    assert (area.function, area.task, area.needs) == ("Box.area", "multiply", ("1.1",))
    assert (area.size, area.line, area.indent) == (2, 8, " " * 8)
    assert found["1.10"].needs == ()


def test_filling_with_its_own_bodies_changes_nothing():
    assert holes.fill(SOURCE, holes.bodies(SOURCE)) == SOURCE
    assert holes.fill(SOURCE, {}) == SOURCE


def test_filling_replaces_one_body_and_leaves_the_rest():
    filled = holes.fill(SOURCE, {"1.10": "    return max(x)\n"})
    assert "max(x)" in filled and "x[-1]" not in filled and "a * b" in filled


def test_a_stub_raises_in_every_hole_and_shows_no_answer():
    stub = holes.stub(SOURCE)
    assert "a * b" not in stub and "x[-1]" not in stub
    assert "# TODO: your code here (the reference takes 2 lines)" in stub
    assert "(the reference takes 1 line)" in stub
    space = {}
    exec(stub, space)
    with pytest.raises(NotImplementedError, match="exercise 1.10"):
        space["last"]([1])
    assert all(holes.is_todo(hole.body) for hole in holes.holes(stub).values())
    assert holes.fill(stub, holes.bodies(SOURCE)) == SOURCE


@pytest.mark.parametrize(
    "old, new",
    [
        ("        # END 1.2\n", ""),
        ("# END 1.10", "# END 1.2"),
        ("EXERCISE 1.10", "EXERCISE 1.1"),
        ("# EXERCISE 1.10: the last entry", "# EXERCISE 1.2: the last entry"),
        ("        product = a * b\n", "        # EXERCISE 1.3: nested\n        product = a * b\n"),
    ],
)
def test_broken_markers_are_refused(old, new):
    assert old in SOURCE
    with pytest.raises(holes.MarkerError):
        holes.holes(SOURCE.replace(old, new))


def test_a_hole_may_lie_inside_a_loop_and_needs_may_be_written_with_spaces():
    source = (
        "def total(x):\n    y = 0\n    for i in x:\n"
        "        # EXERCISE 1.3: add (needs 1.1 1.2)\n        y += i\n        # END 1.3\n"
        "    return y\n"
    )
    hole = holes.holes(source)["1.3"]
    assert (hole.function, hole.needs, hole.size) == ("total", ("1.1", "1.2"), 1)


def test_a_hole_outside_a_function_is_refused():
    with pytest.raises(holes.MarkerError, match="not inside one function"):
        holes.holes("# EXERCISE 1.1: a constant\nX = 1\n# END 1.1\n")


def test_exercises_out_of_order_are_refused():
    swapped = SOURCE.replace("1.2", "1.11")
    with pytest.raises(holes.MarkerError, match="out of order"):
        holes.holes(swapped)


def test_line_numbers_lead_from_a_filled_source_back_to_its_file():
    text = "a\n# EXERCISE 1.1: x\nb\n# END 1.1\nc\n# EXERCISE 1.2: y\nd\ne\n# END 1.2\nf\n"
    bodies = {"1.1": "x\ny\nz\n", "1.2": "w\n"}
    filled = holes.fill(text, bodies).splitlines()
    numbers = holes.line_numbers(text, bodies)[: len(filled)]
    assert numbers == [1, 2, 3, 3, 3, 4, 5, 6, 7, 9, 10]
