import pytest

from ssd.training.recipe import Recipe, paper_recipe


def test_paper_schedule():
    recipe = paper_recipe(32)
    rate = recipe.rate
    assert (recipe.iterations, recipe.warmup) == (120_000, 1000)
    assert rate(1000) == rate(79_999) == 1e-3
    assert rate(80_000) == rate(99_999) == pytest.approx(1e-4)
    assert rate(100_000) == rate(119_999) == pytest.approx(1e-5)


def test_the_numbers_of_the_paper():
    recipe = paper_recipe(32)
    assert (recipe.momentum, recipe.weight_decay, recipe.difficult) == (0.9, 5e-4, True)
    assert (recipe.alpha, recipe.neg_pos_ratio, recipe.match_threshold) == (1, 3, 0.5)


def test_warmup_rises_in_equal_steps():
    rates = [Recipe(100, 32, lr=1.0, drops=(90,), warmup=4).rate(k) for k in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert Recipe(100, 32, lr=1.0).rate(0) == 1
    assert [paper_recipe(32, n).warmup for n in (5, 300, 120_000)] == [0, 30, 1000]
