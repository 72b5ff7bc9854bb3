"""How triggers stood in the past: a plain no leaves no trace, and is decided again from what the log holds."""

from datetime import timedelta

from unit.engine.desk import MORNING, Desk, a_workflow

from hub.clock import to_us
from hub.engine.account_rows import AccountRow
from hub.engine.keys import kind_of
from hub.engine.mail import decode_mail
from hub.engine.past import Told
from hub.engine.then import stood

RULE = """
scope: account.type == "real"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: day, tz: UTC}}
when:
  - {id: volume, becomes: lots > 20}
  - {id: big, event: trade.closed, where: event.lots > 9}
steps: [{do: event.publish, with: {type: custom.x}}]
"""
KEY = "live-1:7001"


class Kept:
    """A history that holds these inputs."""

    def __init__(self, inputs, *, complete=True):
        self.inputs, self.complete = list(inputs), complete
        self.asked = []

    async def told(self, key, *, until, last, most):
        self.asked.append((until, last, most))
        rows = [row for row in self.inputs if row.key == key and row.at <= until]
        if last is not None:
            rows = [row for row in self.inputs if row.key == key and row.n <= last.n]
        return Told(rows[-most:], self.complete and len(rows) <= most)


async def no_turn():
    return


def a_day(*lots):
    desk = Desk(a_workflow(RULE))
    desk.account(type="real")
    for hour, each in enumerate(lots, start=1):
        desk.tell("trade.closed", lots=each, deal=hour, at=MORNING + timedelta(hours=hour))
    return desk


async def test_it_says_how_it_stood_with_an_event_though_more_came_after():
    desk = a_day("8", "9", "12")

    then = await stood(Kept(desk.inputs), a_workflow(RULE), KEY, no_turn, event=desk.inputs[2])

    assert [(each.trigger, each.holds, each.reason) for each in then.standing] == [
        ("volume", False, "lots > 20 is false (17 > 20)"),
        ("big", False, "where: event.lots > 9 is false (9 > 9)"),
    ]
    assert [each.text for each in then.standing[0].remains] == ["lots: 17 of 20, more than 3 to go"]
    assert "from 3 inputs of the log" in then.note


async def test_it_says_how_it_stood_at_a_time():
    desk = a_day("8", "9", "12")

    then = await stood(
        Kept(desk.inputs), a_workflow(RULE), KEY, no_turn, at=to_us(MORNING + timedelta(hours=1, minutes=30))
    )

    assert then.standing[0].reason == "lots > 20 is false (8 > 20)"
    assert then.note.startswith("at 2026-03-02T09:30:00.000Z: decided again from 2 inputs")


async def test_it_says_so_where_the_log_begins_later_and_takes_the_account_for_known():
    desk = a_day("8", "9")
    late = Kept(desk.inputs[1:], complete=False)

    blind = await stood(late, a_workflow(RULE), KEY, no_turn, event=desk.inputs[2])
    then = await stood(
        late,
        a_workflow(RULE),
        KEY,
        no_turn,
        event=desk.inputs[2],
        known=(AccountRow("live-1", 7001, type="real"), None),
    )

    assert blind.standing[0].reason.startswith("scope: ")
    assert then.standing[0].reason == "lots > 20 is false (17 > 20)"
    assert "what came before 2026-03-02T09:00:00.000Z was not looked at" in then.note


async def test_what_is_known_now_is_not_put_over_what_the_log_tells_from_the_beginning():
    desk = Desk(a_workflow(RULE))
    desk.tell("trade.closed", lots="8", deal=1)

    then = await stood(
        Kept(desk.inputs),
        a_workflow(RULE),
        KEY,
        no_turn,
        event=desk.inputs[0],
        known=(AccountRow("live-1", 7001, type="real"), None),
    )

    assert then.standing[0].reason.startswith("scope: ")


async def test_others_get_a_turn_every_hundred_inputs():
    desk = a_day(*["1"] * 450)
    turns = []

    async def turn():
        turns.append(1)

    await stood(Kept(desk.inputs), a_workflow(RULE), KEY, turn, event=desk.inputs[-1])

    assert len(turns) == 4


async def test_an_event_of_another_account_is_told_apart():
    desk = a_day("8")

    then = await stood(Kept(desk.inputs), a_workflow(RULE), "live-1:9", no_turn, event=desk.inputs[1])

    assert then.standing[0].reason == f"that event is about {KEY}: ask with that key"


async def test_a_key_that_hears_by_mail_is_asked_up_to_the_mail_of_that_event():
    rule = a_workflow(RULE.replace('scope: account.type == "real"\n', ""), key="client")
    desk = Desk(rule)
    desk.account(type="real")
    desk.tell("client.updated", client="c-1", changed={"email": {"after": "ann@example.com"}})
    for deal, lots in enumerate(("8", "9", "12"), start=1):
        desk.tell("trade.closed", lots=lots, deal=deal, at=MORNING + timedelta(hours=deal))
    mails = [mail for decision in desk.decisions for mail in decision.mail]
    rows = [
        desk.inputs[0]._replace(
            kind=int(mail.kind), key=mail.key, ref=mail.ref, body=mail.body, n=number, at=at
        )
        for number, (mail, at) in enumerate(
            ((mail, to_us(decode_mail(mail.body).account.last_trade_at or MORNING)) for mail in mails),
            start=1,
        )
    ]
    second = next(item for item in desk.inputs if b'"deal":2' in item.body)

    then = await stood(Kept(rows), rule, "client=c-1", no_turn, event=second)
    stranger = await stood(Kept(rows), rule, "client=c-2", no_turn, event=second)

    assert kind_of(rows[0].key) == "client"
    assert then.standing[0].reason == "lots > 20 is false (17 > 20)"
    assert stranger.standing[0].reason.startswith("client=c-2 was not told of that event")


async def test_a_key_by_a_field_of_events_is_asked_after_its_past_too():
    rule = a_workflow(RULE.replace('scope: account.type == "real"\n', ""), key="event.symbol")
    desk = Desk(rule)
    desk.account(type="real")
    desk.tell("trade.closed", lots="8", deal=1, at=MORNING + timedelta(hours=1))
    (mail,) = [mail for decision in desk.decisions for mail in decision.mail]
    row = desk.inputs[-1]._replace(kind=int(mail.kind), key=mail.key, ref=mail.ref, body=mail.body)

    then = await stood(Kept([row]), rule, mail.key, no_turn, event=desk.inputs[-1])

    assert then.standing[0].reason == "lots > 20 is false (8 > 20)"
