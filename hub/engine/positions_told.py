"""Positions that were open before anybody watched them, made known to their keys when a workflow with levels goes live."""

from hub.bus.log import InputKind, NewInput
from hub.engine.account_rows import NOBODY
from hub.engine.held import Followed
from hub.engine.keys import KeyKind, Whose, key_for, partition_of
from hub.engine.mail import Mail, encode_mail, tell_ended
from hub.engine.positions import open_positions
from hub.engine.run_rows import NO_EVENT
from hub.engine.scene import Scene
from hub.engine.values import Kind
from hub.ids import short_hash

TOLD = (Kind.FOLLOWED.value, "")


def tell_positions(scene: Scene) -> None:
    """Tell each open position once for the same triggers: from then on it hears of what happens to it."""
    if scene.state.account is None:
        return
    watching = next((each for each in scene.program.mailed if each.kind is KeyKind.POSITION), None)
    stored = scene.state.values.get(TOLD)
    if watching is None or not watching.crosses:
        if stored is not None:
            scene.decision.puts[TOLD] = None
        return
    tell_ended(scene, scene.decision.puts, "gone", None)  # whose end was missed
    now = Followed(short_hash(" ".join(sorted(candidate.part for candidate in watching.crosses))))
    if stored == now:
        return
    scene.decision.puts[TOLD] = now
    client = scene.client if scene.client is not NOBODY else None
    for row in open_positions(scene.state, scene.decision.puts):
        key = key_for(KeyKind.POSITION, Whose(scene.account.server, None, None, None, row.id))
        if key is not None:
            body = encode_mail(Mail(NO_EVENT, scene.account, client, position=row))
            told = NewInput(partition_of(key), InputKind.MAIL, key, f"open:{row.id}", body)
            scene.decision.writing().mail.append(told)
