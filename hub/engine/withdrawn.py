"""What a withdrawal takes of a promise that is taken back in proportion."""

from decimal import Decimal

from msgspec.structs import replace

from hub.engine.decision import Verdict
from hub.engine.ledger import Ledger
from hub.engine.ledgers import is_closing, keep, mark, plan_of, put
from hub.engine.promise import env_for, plain
from hub.engine.proportion import both, share_left
from hub.engine.scene import Scene


def withdrawn(scene: Scene, name: str, ledger: Ledger, amount: Decimal) -> None:
    """Let a withdrawal take its part of what was given."""
    plan = plan_of(scene, name, ledger)
    grant = plan.workflow.grant if plan is not None else None
    deposit = grant.take_back.deposit if grant is not None else None
    if plan is None or deposit is None or is_closing(ledger):
        return
    if not (ledger.entries or ledger.held or ledger.wanted):
        return  # nothing was owed yet: what leaves before a promise is none of it
    env = env_for(scene, plan, ledger)
    env["account"] = scene.account_before
    paid, balance = deposit.evaluate(env), scene.account_before.balance
    if not isinstance(paid, Decimal) or balance is None:
        missing = deposit.explain(env) if balance is not None else "account.balance is missing"
        reason = (
            f"{plain(amount)} was withdrawn, and nobody can tell what part of the deposit that is: {missing}"
        )
        keep(scene, name, ledger, Verdict.FAILED, reason)
        return
    left = share_left(paid, balance, amount)
    put(scene, name, replace(ledger, share=both(ledger.share, left)))
    mark(scene, name)
