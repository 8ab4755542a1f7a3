"""Job creation: finds the clips of a card, examines each source file and builds sealed job specs. Writes nothing.

May import `files`, `decide`, `ffmpeg`, `s3` and `contracts`; uses neither the engine nor a store. Open `jobs` first:
`create_jobs` calls the other modules in order.
"""
