"""The eleven parameters: ranges, recommendations, estimates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.base_models import BUILT_IN, EMBEDDED, FLUX, BaseModel, PresetRules, auto_adjust, base_model
from training.estimates import ENOUGH_RUNS, FinishedRun, cost, estimate_seconds
from training.parameters import SPECS, ParameterErrors, Parameters, validate


def good(base: BaseModel = FLUX, **changes: Any) -> dict[str, Any]:
    parameters, _ = auto_adjust(20, base, class_tokens="mara_lind")
    return {**parameters.to_dict(), **changes}


def complaint(**changes: Any) -> dict[str, str]:
    with pytest.raises(ParameterErrors) as caught:
        validate(good(**changes), FLUX)
    return caught.value.errors


# What is allowed


def test_the_table_and_the_dataclass_hold_the_same_eleven() -> None:
    assert len(SPECS) == 11
    assert set(SPECS) == set(Parameters.__dataclass_fields__)


@pytest.mark.parametrize("base", [FLUX, EMBEDDED])
def test_every_default_is_allowed_and_every_parameter_says_why(base: BaseModel) -> None:
    for name, spec in base.specs().items():
        assert spec.label
        assert spec.why.endswith(".")
        if name != "class_tokens":
            assert spec.read(spec.default) == spec.default


def test_numbers_may_come_as_text_and_come_out_typed() -> None:
    parameters = validate(good(learning_rate="2e-4", max_train_steps=" 1500 ", network_dim=16.0), FLUX)
    assert parameters.learning_rate == 2e-4
    assert (parameters.max_train_steps, parameters.network_dim) == (1500, 16)
    assert isinstance(parameters.network_dim, int)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("learning_rate", "1e-5", "1e-3"),
        ("max_train_steps", 400, 5000),
        ("network_dim", 8, 128),
        ("network_alpha", 8, 128),
        ("batch_size", 1, 8),
        ("num_repeats", 1, 50),
        ("lr_warmup_steps", 0, 2000),
    ],
)
def test_both_ends_of_a_range_are_allowed(name: str, lowest: Any, highest: Any) -> None:
    for value in (lowest, highest):
        assert getattr(validate(good(**{name: value}), FLUX), name) == float(value)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", "0.0000099", "a number from 1e-05 to 0.001"),
        ("learning_rate", 0.0011, "a number from 1e-05 to 0.001"),
        ("learning_rate", "nan", "a number from"),
        ("learning_rate", float("inf"), "a number from"),
        ("learning_rate", "2,5e-4", "a number from"),
        ("learning_rate", True, "a number from"),
        ("max_train_steps", 99, "a whole number from 100 to 5000"),
        ("max_train_steps", 1500.5, "a whole number from 100 to 5000"),
        ("max_train_steps", "1e999999999", "a whole number from 100 to 5000"),
        ("max_train_steps", None, "a whole number from 100 to 5000"),
        ("network_dim", [16], "a whole number from 8 to 128"),
        ("lr_scheduler", "polynomial", "one of cosine, cosine_with_restarts, constant, linear"),
        ("lr_scheduler", ["cosine"], "one of cosine"),
        ("optimizer_type", "AdamW8bit", "one of adamw8bit, adafactor"),
        ("gradient_dtype", "fp32", "one of bf16, fp16"),
        ("class_tokens", "", "1 to 100 characters"),
        ("class_tokens", "   ", "1 to 100 characters"),
        ("class_tokens", "x" * 101, "1 to 100 characters"),
        ("class_tokens", "mara|lind", "without “|”"),
        ("class_tokens", "mara --n bad", "“--”"),
        ("class_tokens", "mara\nlind", "one line"),
        ("class_tokens", 7, "characters"),
    ],
)
def test_what_is_out_of_range_is_told_the_range(name: str, value: Any, allowed: str) -> None:
    errors = complaint(**{name: value})
    assert list(errors) == [name]
    assert allowed in errors[name]


def test_warm_up_is_at_most_the_steps() -> None:
    errors = complaint(max_train_steps=500, lr_warmup_steps=501)
    assert errors == {"lr_warmup_steps": "Warm-up must be a whole number from 0 to 500, the number of steps."}


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert set(complaint(network_dim=0, batch_size=9, colour="red")) == {
        "network_dim",
        "batch_size",
        "colour",
    }


def test_a_missing_parameter_is_asked_for() -> None:
    with pytest.raises(ParameterErrors) as caught:
        validate({}, FLUX)
    assert set(caught.value.errors) == set(SPECS)


def test_the_embedded_base_takes_what_tiny_models_want() -> None:
    wanted = good(EMBEDDED, learning_rate=1e-2, batch_size=16, max_train_steps=20, lr_warmup_steps=4)
    assert validate(wanted, EMBEDDED).batch_size == 16
    with pytest.raises(ParameterErrors) as caught:
        validate(wanted, FLUX)
    assert set(caught.value.errors) == {"learning_rate", "batch_size", "max_train_steps"}


# History


def test_old_records_keep_values_that_can_no_longer_be_launched() -> None:
    record = good(optimizer_type="AdamW8bit", gradient_dtype="fp32", learning_rate=0.5, network_alpha=0.5)
    assert Parameters.from_dict(record).to_dict() == record


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(SPECS)), st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    )
)
def test_reading_history_never_fails(record: dict[str, Any]) -> None:
    parameters = Parameters.from_dict(record)
    assert set(parameters.to_dict()) == set(SPECS)
    assert None not in parameters.to_dict().values()


# Recommendations


@pytest.mark.parametrize(
    ("images", "steps", "rate", "repeats", "warmup"),
    [
        (1, 1500, 2e-4, 2, 300),
        (15, 1500, 2e-4, 2, 300),
        (16, 2000, 2.5e-4, 2, 400),
        (30, 2000, 2.5e-4, 2, 400),
        (31, 2500, 1.5e-4, 1, 500),
        (60, 2500, 1.5e-4, 1, 500),
        (61, 3000, 1e-4, 1, 600),
        (500, 3000, 1e-4, 1, 600),
    ],
)
def test_flux_is_adjusted_by_the_old_systems_table(
    images: int, steps: int, rate: float, repeats: int, warmup: int
) -> None:
    parameters, warnings = auto_adjust(images, FLUX, class_tokens="mara_lind")
    assert parameters == Parameters(
        learning_rate=rate,
        max_train_steps=steps,
        network_dim=16,
        network_alpha=8,
        class_tokens="mara_lind",
        batch_size=1,
        num_repeats=repeats,
        lr_scheduler="cosine",
        lr_warmup_steps=warmup,
        optimizer_type="adamw8bit",
        gradient_dtype="bf16",
    )
    assert any("30 to 60" in warning for warning in warnings) == (images > 60)


def test_the_embedded_base_never_asks_for_more_images_a_step_than_there_are() -> None:
    assert auto_adjust(5, EMBEDDED)[0].batch_size == 5
    assert auto_adjust(20, EMBEDDED)[0].batch_size == 8


@pytest.mark.parametrize("base", [FLUX, EMBEDDED])
@pytest.mark.parametrize("preset", BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.parametrize("images", [1, 7, 25, 45, 2000])
def test_every_recommendation_can_be_launched(base: BaseModel, preset: PresetRules, images: int) -> None:
    parameters, _ = auto_adjust(images, base, preset, "mara_lind")
    assert validate(parameters.to_dict(), base) == parameters


def test_quick_is_shorter_and_thorough_longer() -> None:
    steps = [auto_adjust(20, FLUX, rules)[0].max_train_steps for rules in BUILT_IN.values()]
    assert steps == [1000, 2000, 3000]


@pytest.mark.parametrize("count", [0, -1])
def test_no_images_is_an_error(count: int) -> None:
    with pytest.raises(ParameterErrors, match="no images"):
        auto_adjust(count, FLUX)


def test_a_preset_fixes_values_within_what_the_base_allows() -> None:
    rules = PresetRules(
        "Large", warmup=0.5, fixed={"network_dim": 128, "batch_size": 99, "lr_scheduler": "odd"}
    )
    parameters, _ = auto_adjust(50, EMBEDDED, rules)
    assert (parameters.network_dim, parameters.batch_size) == (128, 16)
    assert parameters.lr_warmup_steps == parameters.max_train_steps // 2
    assert parameters.lr_scheduler == "cosine"
    assert auto_adjust(5, EMBEDDED, rules)[0].batch_size == 5


def test_a_directory_or_another_hub_id_is_treated_as_flux() -> None:
    assert base_model("embedded") is EMBEDDED
    assert base_model("flux") is FLUX
    other = base_model("/models/flux-krea")
    assert (other.key, other.table) == ("/models/flux-krea", FLUX.table)


# Estimates


def runs(*pairs: tuple[int, float]) -> list[FinishedRun]:
    return [FinishedRun(steps, seconds) for steps, seconds in pairs]


def flux(steps: int = 2000) -> Parameters:
    return validate(good(max_train_steps=steps), FLUX)


def test_the_old_rule_holds_until_there_are_five_runs() -> None:
    few = runs((2000, 1500.0)) * (ENOUGH_RUNS - 1)
    estimate = estimate_seconds(flux(2300), 19, FLUX, few)
    assert estimate.seconds == 1.5 * 2300 + 120
    assert estimate.source == "rule"
    # The real run of that many steps took 1,559 s.
    assert estimate.low < 1559 < estimate.high


def test_five_runs_teach_a_straight_line() -> None:
    taught = runs(*((steps, 0.68 * steps + 40) for steps in (1000, 1500, 2000, 2500, 3000)))
    estimate = estimate_seconds(flux(1800), 20, FLUX, taught)
    assert estimate.seconds == pytest.approx(0.68 * 1800 + 40)
    assert (estimate.source, estimate.runs) == ("learned", 5)
    assert "5 finished trainings" in estimate.explanation


def test_scattered_runs_give_a_wide_span() -> None:
    steady = runs((1000, 700.0), (1500, 1060.0), (2000, 1400.0), (2500, 1740.0), (3000, 2100.0))
    shaky = runs((1000, 400.0), (1500, 1500.0), (2000, 900.0), (2500, 2400.0), (3000, 1700.0))
    narrow, wide = (estimate_seconds(flux(), 20, FLUX, each) for each in (steady, shaky))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_runs_all_alike_teach_their_mean() -> None:
    estimate = estimate_seconds(flux(2000), 20, FLUX, runs(*[(2000, 1400.0)] * 6))
    assert estimate.seconds == pytest.approx(1400)
    assert estimate_seconds(flux(4000), 20, FLUX, runs(*[(2000, 1400.0)] * 6)).seconds > 2000


def test_a_line_against_sense_is_not_followed() -> None:
    falling = runs((1000, 2000.0), (1500, 1900.0), (2000, 1500.0), (2500, 1300.0), (3000, 1200.0))
    short, long = (estimate_seconds(flux(steps), 20, FLUX, falling).seconds for steps in (1000, 3000))
    assert 0 < short < long


def test_a_larger_batch_costs_more_but_not_more_than_the_images_there_are() -> None:
    taught = [
        FinishedRun(steps, 0.1 * steps * batch + 20, batch) for steps in (400, 600) for batch in (4, 8, 12)
    ]
    parameters = validate(good(EMBEDDED, batch_size=12, max_train_steps=400), EMBEDDED)
    assert estimate_seconds(parameters, 20, EMBEDDED, taught).seconds == pytest.approx(500)
    assert estimate_seconds(parameters, 8, EMBEDDED, taught).seconds == pytest.approx(340)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(FinishedRun, st.integers(0, 5000), st.floats(allow_nan=True), st.integers(1, 16)),
        max_size=12,
    )
)
def test_an_estimate_is_always_a_span_of_positive_seconds(history: list[FinishedRun]) -> None:
    estimate = estimate_seconds(flux(), 20, FLUX, history)
    assert 0 <= estimate.low <= estimate.seconds <= estimate.high


def test_the_bill_is_in_whole_seconds_with_start_and_idle_time() -> None:
    assert cost(1558.769, Decimal("0.00044")) == Decimal("0.6860")
    assert cost(1558.769, Decimal("0.00044"), start_seconds=30, idle_seconds=5) == Decimal("0.7014")
