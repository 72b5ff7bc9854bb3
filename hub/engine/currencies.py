"""How many digits an account's currency is booked with, where the platform did not say: ISO 4217."""

from typing import Final

from hub.engine.account_rows import AccountRow

_WITHOUT: Final = ("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF")
_THREE: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_TWO: Final = (
    "AED ALL AMD ARS AUD AZN BAM BGN BND BOB BRL BWP BYN BZD CAD CHF CNH CNY COP CRC CZK DKK DOP DZD EGP ETB EUR GBP "
    "GEL GHS GTQ HKD HNL HRK HUF IDR ILS INR JMD KES KGS KHR KZT LAK LBP LKR MAD MDL MKD MMK MNT MOP MUR MXN MYR MZN "
    "NAD NGN NIO NOK NPR NZD PAB PEN PHP PKR PLN QAR RON RSD RUB SAR SCR SEK SGD THB TJS TRY TTD TWD TZS UAH USD UYU "
    "UZS VES XCD YER ZAR ZMW"
)
_DIGITS: Final = {
    **dict.fromkeys(_WITHOUT, 0),
    **dict.fromkeys(_THREE, 3),
    **dict.fromkeys(_TWO.split(), 2),
}


def digits_of(account: AccountRow) -> int | None:
    """Return the digits its money is booked with; None where nobody can tell: cents and coins have others."""
    if account.digits is not None:
        return account.digits
    return _DIGITS.get(account.currency) if account.currency is not None else None
