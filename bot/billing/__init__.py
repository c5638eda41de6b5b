"""The billing API over SOAP: the only package that imports zeep; only app.py and checks/ import it.

client                       the `BillingApi` of payments/billing_api.py: asynchronous, in the domain's words
calls                        one account's calls: one exchange each and never two, over a shared session
reading                      what answers say; list_answer (plain_rows), payment_answer: what zeep must not
verdicts                     what an exception says about a call: never sent, or unknown
transport, wire              one origin, one deadline, and a record of whether a byte went out
markup, wsdl                 what XML may cost, and the operations that are loaded
"""
