"""What came out: exchange folders become results, tables, statistics and the study's result.

`read` takes in what a container wrote, `complete` makes it the host's, `diagnose` says why there is none.
`study_result` builds what a study came to, `open_study` reads it back, `summary` and `tables` show it.
"""
