"""The online half: decides, per request, what stands in each placement of a page.

`run` starts the processes of a server, `app` makes what each worker answers with, `services` is
what its routes work with, and `settings` is what can be set. The other files here are small things
that several folders need. Each folder is a subsystem, whose docstring says more. From the outside:

    cli         the commands
    routes      the HTTP interface under /v1, and the pages of the console
    opening     what a worker holds open, and what of it is built from what
    processes   the processes of a server: started, kept, renewed and stopped
    protocol    HTTP below the framework: connections, heads, answers that need no task
    middleware  what stands around every route: keys, bodies, refusals, origins
    batch       lists for a whole file of users
    shopper     one customer on one screen
    catalogue   looking things up in the catalogue
    insights    what the shop as a whole does
    serve       deciding a page
    intake      taking events and exposures in
    learning    how often each banner is clicked
    reports     what a rollout did
    console     sessions, forms, charts and templates of the console
    storefront  the small shop of the demo
    browser     what a shop's pages load
    pictures    looking into pictures before they are kept
    privacy     what is kept of a person: a copy of it, and to forget it
    control     documents that merchandisers change, compiled to a configuration
    rollouts    which share of the units gets which variant
    stores      the SQL stores
    telemetry   logs and metrics
    cpu         who has a core, and when: pages go first
"""
