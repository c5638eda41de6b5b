"""A local billing API: InterServer's MyAdmin as its customers meet it, over a real socket.

It knows nothing of the bot. It imitates, in rpc/encoded SOAP as NuSOAP writes it and with PHP's leniency:

- the published WSDL, with this server's address in it, and sessions that expire;
- the ten modules, each with its unpaid and its whole list of invoices, payment rows among them;
- api_make_payment, which pays an invoice once and answers with the documented words;
- every way to fail in `FAILURES`, before a payment takes effect as well as after it.

It does not imitate the WSDL's other operations (they are answered with a fault), prepaid money (there is
none), other customers, or HTTPS. One account, made-up invoices (`books`), nothing on disk.
"""

from bot.sandbox.local_billing.books import InvoiceRow
from bot.sandbox.local_billing.failures import FAILURES, Failure
from bot.sandbox.local_billing.server import LocalBilling
from bot.sandbox.local_billing.service import Call

__all__ = ["FAILURES", "Call", "Failure", "InvoiceRow", "LocalBilling"]
