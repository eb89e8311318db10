"""Moving accounts: in from another system or another limen, out as lines of JSON.

    a source          reads one kind of file, row by row, and says what a row tells of an account
    the import        checks every row, and stores what is good, some hundred rows a transaction
    the report        counts, and names each row that was refused by its place and a code

Nothing is guessed: what a file does not say, an account does not have. A row is refused or stored
as it is; what is wrong with one keeps no other out. Whoever is interrupted begins again: an address
that has an account keeps it as it is.

A file is somebody else's. Its passwords are hashes that cost what it says, so they pass the bounds
of `limen.stored_hashes`, and nothing of a row that was refused is ever repeated.
"""
