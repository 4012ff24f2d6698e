"""What the tests need around Gatepost: the program itself, real servers, scripted peers.

Standard library only. Each module has one noun: conf, certs, process, gatepost, dovecot, postfix,
wire, backend, dialogue."""
