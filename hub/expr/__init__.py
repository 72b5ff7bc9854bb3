"""The expression language: typed while loading, exact while running, and able to explain itself."""

from hub.errors import ExpressionError
from hub.expr.compiled import Expression, compile_expression
from hub.expr.functions import FUNCTIONS, Function, Parameter
from hub.expr.generate import Fast
from hub.expr.scope import HINT_FOR_SAMPLED, QUOTED, SAMPLED, Scope
from hub.expr.types import MISSING, UNKNOWN, Kind, Type, Unknown

__all__ = [
    "FUNCTIONS",
    "HINT_FOR_SAMPLED",
    "MISSING",
    "QUOTED",
    "SAMPLED",
    "UNKNOWN",
    "Expression",
    "ExpressionError",
    "Fast",
    "Function",
    "Kind",
    "Parameter",
    "Scope",
    "Type",
    "Unknown",
    "compile_expression",
]
