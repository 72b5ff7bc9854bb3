"""What the metrics page says of batches and lag."""

from hub.engine.loop import EngineCounters
from hub.metrics import HubCollector, decisions, metrics_text

NOW = 10_000_000


def shown(counters: EngineCounters, backlog: int) -> list[str]:
    return metrics_text(HubCollector([lambda: decisions(counters, backlog, NOW)])).decode().splitlines()


def test_batches_are_counted_by_their_size() -> None:
    counters = EngineCounters()
    for size in (1, 2, 3, 256, 10_000):
        counters.sizes.add(size)

    lines = shown(counters, 0)

    assert 'hub_engine_batch_inputs_bucket{le="1"} 1.0' in lines
    assert 'hub_engine_batch_inputs_bucket{le="2"} 2.0' in lines
    assert 'hub_engine_batch_inputs_bucket{le="4"} 3.0' in lines
    assert 'hub_engine_batch_inputs_bucket{le="256"} 4.0' in lines
    assert 'hub_engine_batch_inputs_bucket{le="+Inf"} 5.0' in lines
    assert "hub_engine_batch_inputs_sum 10262.0" in lines


def test_lag_is_how_old_the_last_decision_is_while_others_wait() -> None:
    late = EngineCounters(last_at=NOW - 2_500_000)

    assert "hub_engine_lag_seconds 2.5" in shown(late, 3)
    assert "hub_engine_lag_seconds 0.0" in shown(late, 0)
    assert "hub_engine_lag_seconds 0.0" in shown(EngineCounters(), 3)
