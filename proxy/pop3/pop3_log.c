#include "proxy/base/log.h"
#include "proxy/pop3/pop3_int.h"

void
pop3_log(const struct pop3_session *s, const char *why)
{
	char text[ADDR_TEXT_MAX];
	struct buf line;

	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "pop3", slice_of(s->id));
	addr_text(&s->peer, text);
	log_word(&line, "client", slice_of(text));
	log_word(&line, "listener", slice_of(s->listener->name));
	log_word(&line, "tls", s->tls[0] != '\0' ? slice_of(s->tls) : SLICE("none"));
	log_word(&line, "user", slice_of(s->user));
	log_wordf(&line, "login", "%s", s->state == POP3_TRANSACTION ? "ok" : "none");
	if (s->mailbox_ready && s->mailbox != NULL) {
		addr_text(imap_client_addr(s->mailbox), text);
		log_wordf(&line, "backend", "%s/%s", s->listener->backend->name, text);
	}
	log_wordf(&line, "messages", "%zu", s->drop.nmails);
	log_wordf(&line, "retr", "%u", s->nretr);
	log_wordf(&line, "top", "%u", s->ntop);
	log_wordf(&line, "dele", "%u", s->ndele);
	log_wordf(&line, "octets", "%llu", (unsigned long long)s->octets);
	log_word(&line, "end", slice_of(why));
	log_wordf(&line, "ms", "%d", (int)((loop_now(s->server->loop) - s->began) * 1000 + 0.5));
	log_line(s->probe ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
}
