"""What the bot does, in the words of the domain.

desk                         what people may do; its parts (desk_part) are requesting, resolving, pausing
answers, authority           what came of it, and who may do what
approvals                    who approved, who of them counts, how many are missing
crowd                        who comes while others are served is served together with them
proposals                    several invoices at once: by which requests they may be asked for
worker                       workers, their task pools, and who polls for them
look_up                      what the invoice says, frozen, and what the rule asks for it
executor, preflight          pays what is approved, at most once; what is asked right before
own_calls                    what this process sent, for a ledger that was set back since
payable, limits              whether an invoice may be paid at all, and within what limits
reconciler, settling         reads a lost answer again; how long a call may still be carried out
settlement                   the same by the word of a person
maintenance                  the chores: expire, remind, retry, rescue
cards                        no card, no payment
alarms, due_soon             what the people who run the bot have to know; what a digest tells of
overview, unpaid, catalogue  what people look at; allowance: what one of them may do
billing_api, timing          the billing API as payments know it, and how long the bot waits for what
"""
