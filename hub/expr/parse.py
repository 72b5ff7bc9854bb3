"""Tokens into a tree: Python's own precedence, and nothing beyond the language can be built.

Written by hand rather than on Python's parser: positions are characters, numbers keep every digit, and no text
can exhaust a parser's stack or make it warn.
"""

from dataclasses import replace
from typing import Final

from hub.errors import ExpressionError
from hub.expr.arithmetic import CONTEXT
from hub.expr.tokens import Mark, Token, shown, tokenize
from hub.expr.tree import (
    MAX_DEPTH,
    MAX_NODES,
    And,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ListOf,
    Literal,
    Membership,
    Negate,
    Node,
    Not,
    Or,
    Path,
    children,
    size,
)

# How tightly each level binds, loosest first, as in Python.
CHOICE: Final = 1
OR: Final = 2
AND: Final = 3
NOT: Final = 4
COMPARE: Final = 5
ADD: Final = 6
MULTIPLY: Final = 7
SIGN: Final = 8

BINDING: Final = {
    "if": CHOICE,
    "or": OR,
    "and": AND,
    "not": COMPARE,  # the one of `not in`
    "in": COMPARE,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARE),
    **dict.fromkeys(("+", "-"), ADD),
    **dict.fromkeys(("*", "/", "//", "%"), MULTIPLY),
}
VALUES: Final = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}


def parse(text: str) -> Node:
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._at = 0
        self._nodes = 0
        self._depth = 0

    def parse(self) -> Node:
        if self._peek().mark is Mark.END:
            raise ExpressionError("the expression is empty: write a value or a condition", 0, 0)
        node = self._expression(CHOICE)
        self._refuse_the_rest(self._peek())
        _refuse_depth(node)
        return node

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _spend(self, nodes: int, token: Token) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise ExpressionError(
                f"the expression has more than {MAX_NODES} parts: move some into aggregates or steps",
                token.start,
                token.end - token.start,
            )

    def _expression(self, tightest: int) -> Node:
        """Parse what binds at least as tightly as asked."""
        if self._depth == MAX_DEPTH:
            raise _too_deep(self._peek().start)
        self._depth += 1
        node = self._operand(tightest)
        while (binding := BINDING.get(self._operator(), 0)) >= tightest:
            token = self._peek()
            match binding:
                case 1:
                    node = self._choice(node)
                case 2 | 3:
                    node = self._logic(node, token.text, binding)
                case 5:
                    node = self._comparisons(node)
                case _:
                    self._take()
                    self._spend(1, token)
                    right = self._expression(binding + 1)
                    node = Arithmetic(
                        start=node.start, end=right.end, operator=token.text, left=node, right=right
                    )
        self._depth -= 1
        return node

    def _operator(self) -> str:
        token = self._peek()
        return token.text if token.mark in {Mark.WORD, Mark.SIGN} else ""

    def _choice(self, then: Node) -> Node:
        token = self._take()
        self._spend(1, token)
        condition = self._expression(OR)
        if self._operator() != "else":
            raise self._wanted("`else`: write `x if condition else y`")
        self._take()
        otherwise = self._expression(CHOICE)
        return Choice(
            start=then.start, end=otherwise.end, condition=condition, then=then, otherwise=otherwise
        )

    def _logic(self, first: Node, word: str, binding: int) -> Node:
        parts = [first]
        self._spend(1, self._peek())
        while self._operator() == word:
            self._take()
            parts.append(self._expression(binding + 1))
        kind = And if word == "and" else Or
        return kind(start=first.start, end=parts[-1].end, parts=tuple(parts))

    def _comparisons(self, left: Node) -> Node:
        """Parse ``a < b <= c`` as ``a < b and b <= c``; the middle stands twice and is counted twice."""
        pairs: list[Node] = []
        while BINDING.get(self._operator(), 0) == COMPARE:
            token = self._peek()
            if pairs:
                self._spend(size(left), token)
            pair = self._pair(left)
            pairs.append(pair)
            if isinstance(pair, Comparison):
                left = pair.right
                continue
            if len(pairs) > 1 or BINDING.get(self._operator(), 0) == COMPARE:
                raise ExpressionError(
                    "`in` cannot stand in a chain of comparisons: join them with `and`",
                    token.start,
                    token.end - token.start,
                )
        if len(pairs) == 1:
            return pairs[0]
        self._spend(1, self._peek())
        return And(start=pairs[0].start, end=pairs[-1].end, parts=tuple(pairs))

    def _pair(self, left: Node) -> Node:
        token = self._take()
        self._spend(1, token)
        negated = token.text == "not"
        if negated:
            if self._operator() != "in":
                raise self._wanted("`in` after `not`, or an operator before it")
            self._take()
        right = self._expression(ADD)
        if negated or token.text == "in":
            return Membership(start=left.start, end=right.end, item=left, container=right, negated=negated)
        return Comparison(start=left.start, end=right.end, operator=token.text, left=left, right=right)

    def _operand(self, tightest: int) -> Node:
        token = self._take()
        self._spend(1, token)
        match token.mark, token.text:
            case ((Mark.NUMBER | Mark.STRING), _):
                return Literal(start=token.start, end=token.end, value=token.value)
            case Mark.PATH, _ if self._peek().text == "(" and self._peek().mark is Mark.SIGN:
                return self._call(token)
            case Mark.PATH, _:
                return Path(start=token.start, end=token.end, names=tuple(token.text.split(".")))
            case Mark.WORD, word if word in VALUES:
                return Literal(start=token.start, end=token.end, value=VALUES[word])
            case Mark.WORD, "not" if tightest <= NOT:
                operand = self._expression(NOT)
                return Not(start=token.start, end=operand.end, operand=operand)
            case Mark.WORD, "not":
                raise ExpressionError("put parentheses around `not ...` here", token.start, 3)
            case Mark.SIGN, "-":
                return self._negative(token)
            case Mark.SIGN, "(":
                return self._parenthesised(token)
            case Mark.SIGN, "[":
                items = self._sequence("]", token)
                return ListOf(start=token.start, end=self._tokens[self._at - 1].end, items=items)
            case _:
                pass
        self._at -= 1
        raise self._wanted("a value here")

    def _negative(self, token: Token) -> Node:
        operand = self._expression(SIGN)
        # Folded, so that `x == -100` compares with a literal the rule index can use.
        if isinstance(operand, Literal) and not isinstance(operand.value, (str, bool, type(None))):
            return Literal(start=token.start, end=operand.end, value=CONTEXT.minus(operand.value))
        return Negate(start=token.start, end=operand.end, operand=operand)

    def _parenthesised(self, opening: Token) -> Node:
        node = self._expression(CHOICE)
        if self._operator() == ",":
            raise ExpressionError("tuples are not in the language: use a list, `[...]`", self._peek().start)
        if self._operator() != ")":
            raise self._unclosed(opening, ")")
        return replace(node, start=opening.start, end=self._take().end)

    def _sequence(self, closing: str, opening: Token) -> tuple[Node, ...]:
        items: list[Node] = []
        while self._operator() != closing:
            items.append(self._expression(CHOICE))
            if self._operator() == ",":
                self._take()
            elif self._operator() != closing:
                raise self._unclosed(opening, closing)
        self._take()
        return tuple(items)

    def _call(self, name: Token) -> Node:
        root, dot, method = name.text.rpartition(".")
        if dot:
            raise ExpressionError(
                f"fields cannot be called: write `{shown(method)}({shown(root)}, ...)` if there is such a function",
                name.start,
                name.end - name.start,
            )
        arguments = self._sequence(")", self._take())
        end = self._tokens[self._at - 1].end
        return Call(start=name.start, end=end, function=name.text, arguments=arguments)

    def _unclosed(self, opening: Token, closing: str) -> ExpressionError:
        if self._peek().mark is Mark.END:
            return ExpressionError(f"`{opening.text}` is never closed", opening.start)
        return self._wanted(f"`,` or `{closing}`")

    def _wanted(self, what: str) -> ExpressionError:
        token = self._peek()
        hint = " (there is no unary plus)" if token.text == "+" else ""
        hint = " (nothing can be unpacked here)" if token.text == "*" else hint
        return ExpressionError(
            f"expected {what}, found {_quoted(token)}{hint}", token.start, max(token.end - token.start, 1)
        )

    def _refuse_the_rest(self, token: Token) -> None:
        if token.mark is Mark.END:
            return
        length = token.end - token.start
        lowered = token.text.lower()
        if lowered in {"and", "or", "not", "in", "if", "else"} and token.mark is Mark.PATH:
            raise ExpressionError(f"write `{lowered}` in small letters", token.start, length)
        match token.text:
            case "(":
                raise ExpressionError("only a function can be called, by its name", token.start, length)
            case "[":
                raise ExpressionError(
                    "there are no indexes: name the field, `steps.crm.body.tier`", token.start, length
                )
            case ",":
                raise ExpressionError(
                    "tuples are not in the language: use a list, `[...]`", token.start, length
                )
            case _:
                pass
        raise ExpressionError(
            f"unexpected {_quoted(token)}: an operator is missing before it, or it is one too many",
            token.start,
            length,
        )


def _quoted(token: Token) -> str:
    return "the end" if token.mark is Mark.END else f"`{shown(token.text)}`"


def _too_deep(offset: int) -> ExpressionError:
    return ExpressionError(
        f"nested more than {MAX_DEPTH} levels deep: use fewer parentheses and shorter chains", offset
    )


def _refuse_depth(root: Node) -> None:
    # A chain such as `a + b + c` nests to the left without recursion in the parser, so the tree is measured too.
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise _too_deep(node.start)
        waiting.extend((child, depth + 1) for child in children(node))
