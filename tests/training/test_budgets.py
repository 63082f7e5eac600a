"""Budgets: what is reserved, settled, given back, refused and told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors import letters, storage
from actors.models import Letter, LikenessRights, RightsPolicy
from actors.permissions import ensure_roles
from actors.undo import undo_of
from tests.factories import make_actor, make_version
from tests.simulated_jobs import tiny_lora
from tests.training.batch_steps import begun, plan, states
from tests.training.previewing import make_drawable, ordered
from tests.training.ready import messages, recommended
from training import batch_launches, budget_check, budgets, launch, previews
from training.budget_models import BudgetEntry, BudgetMonth, BudgetRule
from training.models import Preview, Status, TrainingVersion, Webhook, WebhookDelivery

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def priced(settings: Settings) -> None:
    """A dollar for a hundred seconds, and nothing beside the execution."""
    settings.GPU_PRICE_PER_SECOND = 0.01
    settings.WORKER_START_SECONDS = 0.0
    settings.WORKER_IDLE_SECONDS = 0.0


@pytest.fixture
def ines(db: None) -> User:
    ensure_roles()
    person = User.objects.create_user("ines", "ines@studio.example", "x")
    person.groups.add(Group.objects.get(name="Trainer"))
    return person


def facts(*values: object) -> tuple[object, ...]:
    """Numbers to compare: 0 equals 0.0000."""
    return values


def start(person: User | None) -> TrainingVersion:
    return launch.launch(make_actor(), recommended(), by=person)


def month_of(person: User) -> BudgetMonth:
    return BudgetMonth.objects.get(user=person)


def ran(version: TrainingVersion, seconds: int) -> None:
    """A worker took it and worked so long."""
    TrainingVersion.objects.filter(pk=version.pk).update(
        status=Status.TRAINING, started_at=timezone.now(), execution_ms=seconds * 1000
    )
    version.refresh_from_db()


def send_letters() -> None:
    """What the task queue does on commit."""
    for key in Letter.objects.values_list("pk", flat=True):
        letters.send(key)


def test_a_launch_reserves_its_estimate_and_its_end_the_real_cost(ines: User) -> None:
    version = start(ines)
    month = month_of(ines)
    estimate = launch.expected_cost(launch.estimate_of(version))
    assert facts(month.reserved, month.spent, month.trainings) == (estimate, 0, 1)
    ran(version, 120)
    version.complete("https://bucket.s3.us-east-1.amazonaws.com/a.safetensors")
    month.refresh_from_db()
    assert facts(month.reserved, month.spent, month.trainings) == (0, Decimal("1.2"), 1)


def test_what_never_ran_gives_everything_back(ines: User) -> None:
    version = start(ines)
    version.cancel(ines)
    month = month_of(ines)
    assert facts(month.reserved, month.spent, month.trainings) == (0, 0, 0)


def test_what_was_cancelled_half_way_costs_what_ran(ines: User) -> None:
    version = start(ines)
    long_ago = timezone.now() - timedelta(seconds=60)
    TrainingVersion.objects.filter(pk=version.pk).update(status=Status.TRAINING, started_at=long_ago)
    version.cancel(ines)
    month = month_of(ines)
    assert month.reserved == 0
    assert Decimal("0.6") <= month.spent <= Decimal("0.65")
    assert month.trainings == 1


def test_one_presumed_lost_that_comes_back_is_settled_again(ines: User) -> None:
    version = start(ines)
    version.lose("Nobody knows it any more")
    assert facts(month_of(ines).spent, month_of(ines).trainings) == (0, 0)
    TrainingVersion.objects.filter(pk=version.pk).update(execution_ms=50_000)
    version.complete("https://bucket.s3.us-east-1.amazonaws.com/a.safetensors")
    assert facts(month_of(ines).spent, month_of(ines).trainings) == (Decimal("0.5"), 1)


def test_settling_twice_changes_nothing(ines: User) -> None:
    version = start(ines)
    ran(version, 10)
    version.fail("broken")
    assert not budgets.settle_training(version)
    assert month_of(ines).spent == Decimal("0.1")


def test_a_refused_launch_says_the_numbers_and_who_can_help_and_leaves_nothing(ines: User) -> None:
    boss = User.objects.create_user("boss", first_name="Mara", last_name="Holt")
    boss.groups.add(Group.objects.get(name="Admin"))
    BudgetRule.objects.create(user=ines, dollars=Decimal("0.50"))
    with pytest.raises(launch.CannotStart) as refusal:
        start(ines)
    said = str(refusal.value)
    assert "$0.00 of $0.50" in said
    assert "Ask Mara Holt to raise it, or wait until 1 " in said
    assert not TrainingVersion.objects.exists()
    assert not BudgetEntry.objects.exists()


def test_the_last_launch_may_use_the_budget_up_to_the_cent(ines: User) -> None:
    version = start(None)
    cost = launch.expected_cost(launch.estimate_of(version))
    BudgetRule.objects.create(user=ines, dollars=2 * cost)
    start(ines)
    start(ines)
    with pytest.raises(launch.CannotStart):
        start(ines)


def test_a_quota_of_trainings_holds_where_they_are_free(ines: User, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0
    BudgetRule.objects.create(dollars=Decimal(0), trainings=2)
    first = start(ines)
    start(ines)
    with pytest.raises(launch.CannotStart, match="2 of 2"):
        start(ines)
    first.cancel(ines)  # it never ran, so it is no training
    start(ines)
    assert month_of(ines).used == 0


def test_a_retry_counts_for_whoever_asks_for_it(ines: User) -> None:
    failed = make_version(status=Status.FAILED)
    launch.retry(failed, by=ines)
    assert month_of(ines).trainings == 1


def test_a_launch_of_nobody_has_no_budget(ines: User) -> None:
    BudgetRule.objects.create(dollars=Decimal(0))
    start(None)
    assert not BudgetMonth.objects.exists()


def test_the_narrower_rule_counts_and_of_several_roles_the_widest(ines: User) -> None:
    assert not budgets.ceiling_of(ines).is_set
    BudgetRule.objects.create(dollars=Decimal(10), trainings=5)
    assert budgets.ceiling_of(ines).dollars == 10
    trainer = BudgetRule.objects.create(group=Group.objects.get(name="Trainer"), dollars=Decimal(20))
    assert facts(budgets.ceiling_of(ines).dollars, budgets.ceiling_of(ines).trainings) == (20, None)
    night = Group.objects.create(name="Night shift")
    ines.groups.add(night)
    BudgetRule.objects.create(group=night, dollars=Decimal(30), trainings=3)
    assert facts(budgets.ceiling_of(ines).dollars, budgets.ceiling_of(ines).trainings) == (30, None)
    BudgetRule.objects.create(user=ines, dollars=Decimal(5))
    assert budgets.ceiling_of(ines) == budgets.Ceiling(Decimal(5), None, "ines")
    trainer.delete()
    assert budgets.ceiling_of(ines).dollars == 5


def test_there_is_one_rule_for_everybody_and_none_for_a_person_and_a_role(ines: User) -> None:
    BudgetRule.objects.create(trainings=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        BudgetRule.objects.create(trainings=6)
    with pytest.raises(IntegrityError), transaction.atomic():
        BudgetRule.objects.create(user=ines, group=Group.objects.get(name="Trainer"))


def test_a_month_begins_at_the_studios_midnight(
    ines: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STUDIO_TIME_ZONE = "Asia/Tokyo"
    evening = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)  # 1 April, 01:00 in Tokyo
    monkeypatch.setattr(timezone, "now", lambda: evening)
    start(ines)
    assert month_of(ines).month.isoformat() == "2026-04-01"


@pytest.mark.parametrize(("used", "letters_sent"), [(79, 0), (80, 1), (100, 1)])
def test_a_threshold_is_told_once_a_month(ines: User, used: int, letters_sent: int) -> None:
    BudgetRule.objects.create(user=ines, dollars=Decimal(100))
    for number in (1, 2):
        budgets.reserve(ines, BudgetEntry.Kind.TRAINING, number, Decimal(used) / 2, "0001 V1")
        send_letters()
    assert [letter.to for letter in mail.outbox] == [["ines@studio.example"]] * letters_sent
    budgets.settle(BudgetEntry.Kind.TRAINING, 1, Decimal(1), ran=True)
    budgets.settle(BudgetEntry.Kind.TRAINING, 1, Decimal(used) / 2, ran=True)
    send_letters()
    assert len(mail.outbox) == letters_sent


# The ledger's check


def drift() -> list[str]:
    """What the check finds; it changes nothing."""
    return list(budget_check.drift(repair=False))


def test_a_true_ledger_is_called_true(ines: User, capsys: pytest.CaptureFixture[str]) -> None:
    start(ines)
    call_command("check_budgets")
    assert capsys.readouterr().out == "The ledger is true.\n"


def test_trainings_from_before_the_ledger_are_entered(ines: User) -> None:
    running, ended = start(ines), start(ines)
    ran(ended, 100)
    BudgetMonth.objects.all().delete()
    ended.fail("broken")
    assert len(drift()) == 2
    with pytest.raises(CommandError, match="2 wrong"):
        call_command("check_budgets", stdout=StringIO())
    assert not BudgetEntry.objects.exists()
    call_command("check_budgets", "--repair", stdout=StringIO())
    month = month_of(ines)
    assert month.spent == 1
    assert month.reserved == launch.expected_cost(launch.estimate_of(running))
    assert drift() == []


def test_an_open_reservation_of_something_over_is_settled(ines: User) -> None:
    ended, gone = start(ines), start(ines)
    ran(ended, 100)
    TrainingVersion.objects.filter(pk=ended.pk).update(status=Status.FAILED, finished_at=timezone.now())
    estimate = BudgetEntry.objects.get(object_id=gone.pk).reserved
    gone.events.all().delete()
    TrainingVersion.objects.filter(pk=gone.pk)._raw_delete("default")
    assert len(drift()) == 2
    budget_check.keep_true()
    assert facts(month_of(ines).spent, month_of(ines).reserved) == (1 + estimate, 0)
    assert drift() == []


def test_wrong_sums_are_written_again(ines: User) -> None:
    start(ines)
    right = month_of(ines).reserved
    BudgetMonth.objects.update(reserved=77, trainings=9)
    assert "77" in drift()[0]
    budget_check.keep_true()
    assert facts(month_of(ines).reserved, month_of(ines).trainings) == (right, 1)


def test_a_threshold_is_told_to_webhooks_as_well(ines: User) -> None:
    Webhook.objects.create(name="ledger", url="https://ledger.example.com/in", events=["budget.threshold"])
    BudgetRule.objects.create(user=ines, dollars=Decimal(100))
    for number in range(12):
        budgets.reserve(ines, BudgetEntry.Kind.TRAINING, number, Decimal(8), "0001 V1")
    told = [json.loads(body)["data"] for body in WebhookDelivery.objects.values_list("body", flat=True)]
    assert [(each["person"], each["threshold"], each["used"]) for each in told] == [("ines", 80, "80.0000")]


# Previews


def test_a_preview_reserves_its_estimate_and_settles_what_it_cost(ines: User, media: Path) -> None:
    preview = ordered(by=ines)
    month = month_of(ines)
    assert facts(month.reserved, month.trainings) == (previews.expected_cost(preview), 0)
    assert month.reserved > 0
    Preview.objects.filter(pk=preview.pk).update(status="submitted", started_at=timezone.now())
    preview.complete(cost_usd=Decimal("0.07"))
    month.refresh_from_db()
    assert facts(month.reserved, month.spent, month.trainings) == (0, Decimal("0.07"), 0)
    assert drift() == []


def test_a_preview_that_never_ran_costs_nothing_and_one_cut_off_what_it_ran(ines: User, media: Path) -> None:
    unsent, cut = ordered(by=ines), ordered(by=ines)
    long_ago = timezone.now() - timedelta(seconds=20)
    Preview.objects.filter(pk=cut.pk).update(status="submitted", started_at=long_ago)
    unsent.cancel()
    cut.cancel()
    month = month_of(ines)
    assert month.reserved == 0
    assert Decimal("0.2") <= month.spent <= Decimal("0.25")


def test_a_preview_over_the_budget_is_refused_and_leaves_nothing(ines: User, media: Path) -> None:
    version = make_drawable()
    BudgetRule.objects.create(dollars=Decimal("0.01"))
    with pytest.raises(previews.CannotPreview, match=r"\$0.00 of \$0.01 are used. This preview takes about"):
        ordered(version, by=ines)
    assert not Preview.objects.exists()
    assert not BudgetEntry.objects.exists()


def test_a_completion_over_the_budget_goes_through_without_its_preview(ines: User, media: Path) -> None:
    version = start(ines)
    ran(version, 100)
    BudgetRule.objects.create(dollars=Decimal("0.01"))
    storage.save(version.lora_key, ContentFile(tiny_lora(version.model_name)))
    assert version.complete(storage.own(version.lora_key).s3)
    assert month_of(ines).spent == 1
    assert not Preview.objects.exists()
    assert "No preview was drawn: The budget for" in messages(version)


def test_previews_from_before_the_ledger_are_entered(ines: User, media: Path) -> None:
    preview = ordered(by=ines)
    BudgetMonth.objects.all().delete()
    assert len(drift()) == 1
    budget_check.keep_true()
    assert month_of(ines).reserved == previews.expected_cost(preview)
    Preview.objects.update(status="done", cost_usd=Decimal("0.03"))
    assert len(drift()) == 1
    budget_check.keep_true()
    assert facts(month_of(ines).reserved, month_of(ines).spent) == (0, Decimal("0.03"))


# Pages


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_pages_take_as_many_queries_for_forty_as_for_ten(ines: User, admin_client: Client) -> None:
    trainers = Group.objects.get(name="Trainer")
    BudgetRule.objects.create(group=trainers, dollars=Decimal(1000))
    admin = User.objects.get(username="admin")

    def add(first: int, last: int) -> None:
        for number in range(first, last):
            person = User.objects.create_user(f"person {number}")
            person.groups.add(trainers)
            for owner in (person, admin):
                key = number + 1000 * (owner == admin)
                budgets.reserve(owner, BudgetEntry.Kind.TRAINING, key, Decimal(1), "0001 V1")

    add(0, 10)
    pages = (reverse("budgets"), reverse("account-budget"))
    for page in pages:
        queries(admin_client, page)
    ten = [queries(admin_client, page) for page in pages]
    add(10, 40)
    assert [queries(admin_client, page) for page in pages] == ten


def test_the_own_page_shows_what_is_left_and_what_it_went_to(ines: User, client: Client) -> None:
    client.force_login(ines)
    assert "Nothing yet this month." in client.get(reverse("account-budget")).text
    BudgetRule.objects.create(user=ines, dollars=Decimal(10))
    version = start(ines)
    ran(version, 850)
    version.fail("broken")
    page = client.get(reverse("account-budget")).text
    assert "$8.50 of $10.00" in page
    assert "85 % of it is used." in page
    assert f'href="{version.get_absolute_url()}"' in page
    link = version.get_absolute_url()
    version.delete()
    page = client.get(reverse("account-budget")).text
    assert "$8.50 of $10.00" in page, "what was spent stays spent"
    assert link not in page
    assert client.post(reverse("account-budget")).status_code == 405


def test_a_launch_past_a_threshold_says_so_on_the_page(ines: User, client: Client) -> None:
    client.force_login(ines)
    actor = make_actor()
    BudgetRule.objects.create(user=ines, trainings=1)
    answer = client.post(reverse("start", args=[actor.pk]), follow=True)
    assert "100 % of your budget this month is used" in answer.text
    assert "1 of 1 trainings." in answer.text
    refused = client.post(reverse("start", args=[make_actor().pk]))
    assert refused.status_code == 422
    assert "1 of 1." in refused.text


def test_admins_set_change_and_remove_ceilings(ines: User, admin_client: Client) -> None:
    address = reverse("budgets")
    for whose, dollars in (("everybody", "10"), (f"person-{ines.pk}", "20"), (f"person-{ines.pk}", "30")):
        admin_client.post(address, {"whose": whose, "dollars": dollars, "trainings": ""})
    assert set(BudgetRule.objects.values_list("dollars", flat=True)) == {10, 30}
    own = BudgetRule.objects.get(user=ines)
    assert [row.history_user.username for row in own.history.all()] == ["admin", "admin"]
    removed = admin_client.post(address, {"remove": own.pk}, follow=True)
    assert budgets.ceiling_of(ines).dollars == 10
    toast = undo_of(list(removed.context["messages"])[-1])
    assert toast is not None
    admin_client.post(toast.url, toast.fields)
    assert budgets.ceiling_of(ines).dollars == 30
    admin_client.post(address, {"remove": (own := BudgetRule.objects.get(user=ines)).pk})
    assert admin_client.post(address, {"remove": own.pk}, follow=True).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"whose": "person-999", "dollars": "1"}, {"whose": "everybody", "dollars": "-1"}, {"whose": ""}]
)
def test_a_wrong_ceiling_is_refused(admin_client: Client, wrong: dict[str, str]) -> None:
    assert admin_client.post(reverse("budgets"), wrong).status_code == 400
    assert not BudgetRule.objects.exists()


def test_the_command_counts_for_whom_it_names(ines: User) -> None:
    actor = make_actor()
    with pytest.raises(CommandError, match="Nobody signs in as 'nobody'"):
        call_command("train_actor", actor.name, "--by", "nobody")
    BudgetRule.objects.create(user=ines, dollars=Decimal("0.01"))
    with pytest.raises(CommandError, match=r"\$0.00 of \$0.01 are used"):
        call_command("train_actor", actor.name, "--by", "ines")
    BudgetRule.objects.all().delete()
    call_command("train_actor", actor.name, "--by", "ines", stdout=StringIO())
    assert month_of(ines).trainings == 1


# Batches


def test_a_batch_launches_what_its_persons_budget_bears_and_then_pauses(ines: User) -> None:
    cost = launch.expected_cost(launch.estimate_of(start(None)))
    BudgetRule.objects.create(user=ines, dollars=2 * cost)
    batch = begun([make_actor() for _ in range(4)], by=ines, concurrency=4)
    batch_launches.advance()
    batch.refresh_from_db()
    assert month_of(ines).trainings == 2
    assert (batch.state, states(batch)) == ("paused", ["launched", "launched", "waiting", "waiting"])
    assert "Ask an admin to raise it" in batch.note


def test_a_plan_of_a_batch_says_whose_rights_are_missing(ines: User) -> None:
    RightsPolicy.switch(required=True, by=None)
    held, bare = make_actor(), make_actor()
    LikenessRights.record(held, {"basis": "synthetic"}, None)
    batch = plan([held, bare])
    assert states(batch) == ["planned", "blocked"]
    assert "No rights to this likeness are on record." in batch.items.get(actor=bare).reason
