"""How endpoints are outlives a restart in every store, and is forgotten with what disabled them."""

from conformance.backends import Dispatch

from hub.dispatch.health import Health
from hub.testing import an_endpoint

ROW = Health("ep_1", 10, 7, 20, "timeout", 2, 15, 30)


async def test_what_was_saved_is_there_after_a_restart_until_there_is_nothing_to_keep(
    dispatch: Dispatch,
) -> None:
    await dispatch.endpoints.create(an_endpoint("ep_1"))
    assert await dispatch.healths.get("ep_1") is None

    await dispatch.healths.save(ROW)
    await dispatch.healths.save(ROW._replace(failures=8))
    await dispatch.reopen()
    assert await dispatch.healths.get("ep_1") == ROW._replace(failures=8)

    await dispatch.healths.save(Health("ep_1"))
    assert await dispatch.healths.get("ep_1") is None


async def test_an_endpoint_that_is_disabled_or_gone_is_forgotten_and_not_written_again(
    dispatch: Dispatch,
) -> None:
    for name in ("ep_1", "ep_2", "ep_3"):
        await dispatch.endpoints.create(an_endpoint(name))
        await dispatch.healths.save(ROW._replace(endpoint=name))
    await dispatch.endpoints.replace(an_endpoint("ep_1"), an_endpoint("ep_1", state="disabled"))
    await dispatch.endpoints.delete("ep_2")

    await dispatch.healths.forget_disabled()
    await dispatch.healths.save(ROW)

    known = [await dispatch.healths.get(name) for name in ("ep_1", "ep_2", "ep_3")]
    assert known == [None, None, ROW._replace(endpoint="ep_3")]
