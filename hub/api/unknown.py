"""What is asked of a workflow nobody loaded: the answer names the nearest one, or those there are."""

from typing import Final

from aiohttp import web

from hub.api.problems import Problem
from hub.api.routing import DEPS
from hub.engine.problems import did_you_mean, quoted

MOST_NAMED: Final = 10


async def no_workflow(request: web.Request, name: str) -> Problem:
    known = sorted(workflow.id for workflow in await request.app[DEPS].workflows.workflows())
    told = did_you_mean(name, known)
    if not told and known:
        more = len(known) - MOST_NAMED
        told = f": there are {', '.join(known[:MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")
    return Problem(404, "not-found", f"there is no workflow {quoted(name)}{told}")
