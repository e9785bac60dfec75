/ q main.q -home /abs/folder -users /abs/file -p 127.0.0.1:5000; see README.md
\l schema.q
\l store.q
\l access.q
.hg.start[]
