module firedrill.example/lab/pause

go 1.24
