#include "proxy/imap/imap_client.h"

#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/imap/imap_int.h"

static const char *const phase_words[] = { "connecting", "waiting for the greeting", "CAPABILITY", "STARTTLS",
	"the TLS handshake", "CAPABILITY after TLS", "idle" };

static void dial_next(struct imap_client *);
static void next_order(struct imap_client *);
static void on_up(void *), on_input(void *), on_lost(void *, const char *);
static const struct conn_ops conn_calls = { on_up, on_input, NULL, on_lost };

static void
release(struct imap_client *c)
{
	struct imap_order *order;

	conn_close(&c->conn);
	backend_await_no_more(&c->waiter);
	timer_stop(&c->deadline);
	loop_forget(c->loop, &c->later);
	while ((order = c->first) != NULL) {
		c->first = order->next;
		imap_order_free(&order);
	}
	loop_free_later(c->loop, c);
}

/* Ends the session and tells the owner. */
static void
fail(struct imap_client *c, const char *why)
{
	const struct imap_client_ops *ops = c->ops;
	void *owner = c->owner;
	bool connected = c->phase == PHASE_READY;
	char text[256];

	if (c->phase == PHASE_DIAL)
		snprintf(text, sizeof(text), "%s", why);
	else
		snprintf(text, sizeof(text), "%.200s (%s)", why, c->running ? c->first->name : phase_words[c->phase]);
	release(c);
	ops->failed(owner, text, connected);
}

/* Before the owner was told "ready" another address may still do. */
static void
address_failed(struct imap_client *c, const char *why)
{
	snprintf(c->trouble, sizeof(c->trouble), "%.100s (%s)", why, phase_words[c->phase]);
	backend_failed(c->backend, c->place, c->trouble);
	conn_close(&c->conn);
	dial_next(c);
}

static void
trouble(struct imap_client *c, const char *why)
{
	if (c->phase < PHASE_READY)
		address_failed(c, why);
	else
		fail(c, why);
}

/* The server says no more; where it said BYE, that is the reason. */
static void
gone(struct imap_client *c, const char *why)
{
	trouble(c, c->bye ? c->bye_text : why != NULL ? why : "the server closed the connection");
}

/* What was said without TLS, or by another server, no longer counts. */
static void
forget(struct imap_client *c)
{
	imap_parse_init(&c->parse);
	c->caps = (struct imap_caps){ false };
	c->responses = 0;
	c->responses_max = IMAP_RESPONSES_MAX;
	c->caps_told = c->bye = false;
	c->waiting = 0;
}

static void
dial_next(struct imap_client *c)
{
	bool they_begin = c->backend->conf->tls_mode != CONF_TLS_IMPLICIT;
	const struct addr *to;
	struct err err = { "" };

	c->phase = PHASE_DIAL;
	c->secure = false;
	c->conn = NULL;
	forget(c);
	if (backend_pending(c->backend)) {
		backend_await(c->backend, &c->waiter);
		timer_set(&c->deadline, c->backend->conf->connect_timeout);
		return;
	}
	while ((to = backend_address(c->backend, c->tried, &c->place)) != NULL) {
		c->tried |= UINT64_C(1) << c->place;
		c->addr = *to;
		timer_set(&c->deadline, c->backend->conf->connect_timeout);
		c->conn = backend_dial(c->backend, c->place, they_begin, &conn_calls, c, &err);
		if (c->conn != NULL)
			return;
		snprintf(c->trouble, sizeof(c->trouble), "%.150s", err.text);
		backend_failed(c->backend, c->place, err.text);
	}
	if (c->trouble[0] == '\0')
		snprintf(c->trouble, sizeof(c->trouble), "%.150s", backend_trouble(c->backend));
	timer_set(&c->deadline, 0);	/* the owner hears of it, but never inside the call that opened us */
}

/* The backend's names are resolved, or cannot be. */
static void
on_known(void *owner)
{
	dial_next(owner);
}

static void
on_deadline(void *owner)
{
	struct imap_client *c = owner;

	if (c->conn == NULL) {
		fail(c, c->trouble[0] != '\0' ? c->trouble : backend_trouble(c->backend));
	} else if (c->phase == PHASE_DIAL && conn_stands(c->conn)) {
		c->phase = PHASE_GREETING;	/* as in smtp_backend.c: up() waits for its first octets */
		timer_set(&c->deadline, c->backend->conf->command_timeout);
	} else {
		gone(c, "no answer in time");
	}
}

/* While orders run: each octet that comes puts it off; an owner who reads nothing may wait. */
static void
settle_deadline(struct imap_client *c)
{
	if (c->phase != PHASE_READY)
		return;
	if (c->waiting != 0 && !c->paused)
		timer_set(&c->deadline, c->backend->conf->command_timeout);
	else
		timer_stop(&c->deadline);
}

/* Begins a command; its words follow. */
static struct buf *
command(struct imap_client *c)
{
	c->waiting = ++c->last_tag;
	c->responses = 0;
	c->responses_max = IMAP_RESPONSES_MAX + 4 * (uint64_t)c->exists;	/* as many as there were: all of them may go */
	buf_printf(conn_out(c->conn), "g%u ", c->waiting);
	timer_set(&c->deadline, c->backend->conf->command_timeout);
	settle_deadline(c);
	return conn_out(c->conn);
}

static void
ask_caps(struct imap_client *c)
{
	c->caps_told = false;
	buf_puts(command(c), "CAPABILITY\r\n");
}

static void
start_tls(struct imap_client *c)
{
	struct err err = { "" };

	c->phase = PHASE_TLS;
	timer_set(&c->deadline, c->backend->conf->connect_timeout);
	if (conn_starttls(c->conn, c->backend->tls, backend_name(c->backend, c->place), &err) == -1)
		trouble(c, err.text);
}

/* Connected, or TLS is up. */
static void
on_up(void *owner)
{
	struct imap_client *c = owner;
	bool implicit = c->backend->conf->tls_mode == CONF_TLS_IMPLICIT;

	if (c->phase == PHASE_DIAL && implicit) {
		start_tls(c);
		return;
	}
	c->secure = c->phase == PHASE_TLS;
	if (c->secure && !implicit) {
		forget(c);		/* RFC 3501 section 6.2.1 */
		c->phase = PHASE_CAPABILITY_TLS;
		ask_caps(c);
	} else {
		c->phase = PHASE_GREETING;
		timer_set(&c->deadline, c->backend->conf->command_timeout);
	}
}

static void
get_ready(struct imap_client *c)
{
	static const struct backend_caps none;
	struct conn *conn = c->conn;

	c->phase = PHASE_READY;
	settle_deadline(c);
	backend_worked(c->backend, c->place, &none);
	c->ops->ready(c->owner);
	if (c->conn == conn)
		next_order(c);
}

/* What the server can do is known. */
static void
go_on_or_take_tls(struct imap_client *c)
{
	enum conf_tls_mode mode = c->backend->conf->tls_mode;

	if (c->secure || mode == CONF_TLS_NONE || (mode == CONF_TLS_OFFER && !c->caps.starttls)) {
		get_ready(c);
	} else if (!c->caps.starttls) {
		trouble(c, "the server offers no STARTTLS, which tls-mode requires");
	} else {
		c->phase = PHASE_STARTTLS;
		buf_puts(command(c), "STARTTLS\r\n");
	}
}

/* Printable ASCII, cut to size. */
static void
put_text(char *out, size_t size, struct slice text)
{
	size_t len = text.len < size ? text.len : size - 1;

	for (size_t i = 0; i < len; i++)
		out[i] = text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?';
	out[len] = '\0';
}

static void
say_why(struct imap_client *c, const char *what, struct slice text)
{
	char why[160], words[120];

	put_text(words, sizeof(words), text);
	snprintf(why, sizeof(why), "%s: %s", what, words);
	trouble(c, why);
}

static void
greeted(struct imap_client *c, const struct imap_item *item)
{
	bool wants_tls = !c->secure && c->backend->conf->tls_mode != CONF_TLS_NONE;

	if (item->kind == ITEM_STATUS && item->status == IMAP_SAYS_BYE) {
		say_why(c, "the server said BYE", item->text);
	} else if (item->kind == ITEM_STATUS && item->status == IMAP_SAYS_PREAUTH) {
		/* In whose name, nobody knows; and it prevents STARTTLS (RFC 9051 section 7.1.4). */
		trouble(c, "the server takes us for somebody already (PREAUTH)");
	} else if (item->kind != ITEM_STATUS || item->status != IMAP_SAYS_OK) {
		trouble(c, "the server's greeting is no IMAP");
	} else if (c->caps_told && (!wants_tls || c->caps.starttls)) {
		go_on_or_take_tls(c);
	} else {
		/* A greeting may list less than CAPABILITY does. */
		c->phase = PHASE_CAPABILITY;
		ask_caps(c);
	}
}

/* The answer to a command of ours before we are ready. */
static void
greeting_answered(struct imap_client *c, const struct imap_item *item)
{
	if (item->status != IMAP_SAYS_OK)
		say_why(c, "the server refused", item->text);
	else if (c->phase != PHASE_STARTTLS && !c->caps_told)
		trouble(c, "the server does not say what it can do");
	else if (c->phase != PHASE_STARTTLS)
		go_on_or_take_tls(c);
	else if (imap_parse_behind(&c->parse, conn_in(c->conn)) > 0)
		/* What stands behind the OK was not said inside TLS: somebody put it there. */
		trouble(c, "octets behind the answer to STARTTLS");
	else
		start_tls(c);
}

/* The running order is answered: its owner hears of it, and the next one's turn comes. */
static void
finish_order(struct imap_client *c)
{
	struct imap_order *order = c->first;
	struct imap_answer answer = order->answer;
	void (*done)(void *, const struct imap_answer *) = order->done;
	struct conn *conn = c->conn;

	c->first = order->next;
	if (c->first == NULL)
		c->last = &c->first;
	c->running = false;
	imap_order_free(&order);
	answer.bye = c->bye;
	done(c->owner, &answer);
	if (c->conn != conn)
		return;
	if (c->bye)
		trouble(c, c->bye_text);
	else
		next_order(c);
}

/* Up to where a continuation request must come first, or all that is left. */
static void
say_part(struct imap_client *c, struct imap_order *order)
{
	size_t end = order->waited < order->nwaits ? order->waits[order->waited] : buf_len(&order->said);

	if (order->kind == ORDER_LOGIN)
		buf_secret(conn_out(c->conn), true);
	buf_put(conn_out(c->conn), slice_part(buf_slice(&order->said), order->sent, end - order->sent));
	order->sent = end;
	if (order->waited == order->nwaits)
		imap_wipe(&order->said);
}

static void
next_order(struct imap_client *c)
{
	struct imap_order *order = c->first;

	if (c->phase != PHASE_READY || c->running || c->bye || order == NULL)
		return;
	c->running = true;
	if (order->kind == ORDER_LOGIN && !order->answered)
		imap_login_say(order, &c->caps, c->secure);
	else if (order->kind == ORDER_SELECT)
		c->exists_known = false;
	else if (order->kind == ORDER_LIST && c->exists_known && c->exists == 0)
		order->answered = true;		/* IMAP_OK; "1:*" names nothing and is BAD to some */
	if (order->answered) {
		loop_at_turn_end(c->loop, &c->later);
		return;
	}
	if (order->kind == ORDER_LOGIN)
		c->caps_told = false;
	if (order->kind == ORDER_LIST || order->kind == ORDER_BODY)
		conn_expect_much(c->conn);
	c->body_came = c->body_in_fetch = false;
	command(c);
	say_part(c, order);
}

void
imap_client_order(struct imap_client *c, struct imap_order *order)
{
	*c->last = order;
	c->last = &order->next;
	next_order(c);
}

static void
read_answer(struct imap_answer *answer, const struct imap_item *item)
{
	struct slice code = item->code;

	*answer = (struct imap_answer){ .result = item->status == IMAP_SAYS_OK ? IMAP_OK : item->status == IMAP_SAYS_NO ? IMAP_NO : IMAP_BAD };
	put_text(answer->code, sizeof(answer->code), slice_word(&code));
	for (char *at = answer->code; *at != '\0'; at++)
		if (*at >= 'a' && *at <= 'z')
			*at -= 'a' - 'A';
	put_text(answer->text, sizeof(answer->text), item->text);
}

static void
order_answered(struct imap_client *c, const struct imap_item *item)
{
	struct imap_order *order = c->first;

	if (c->asking_caps) {		/* what this one says changes nothing for the owner */
		c->asking_caps = false;
		finish_order(c);
		return;
	}
	read_answer(&order->answer, item);
	if (order->waited < order->nwaits && order->answer.result == IMAP_OK) {
		trouble(c, "OK to a command that was not said to its end");
		return;
	}
	if (order->kind == ORDER_LOGIN && order->answer.result == IMAP_OK) {
		c->logged_in = true;
		if (!c->caps_told && !c->bye) {
			c->asking_caps = true;
			ask_caps(c);
			return;
		}
	}
	finish_order(c);
}

static void
tagged(struct imap_client *c, const struct imap_item *item)
{
	if (item->tag == 0 || item->tag != c->waiting) {
		trouble(c, "an answer to nothing that was asked");
		return;
	}
	c->waiting = 0;
	settle_deadline(c);
	if (c->phase < PHASE_READY)
		greeting_answered(c, item);
	else
		order_answered(c, item);
}

static void
continued(struct imap_client *c)
{
	struct imap_order *order = c->running ? c->first : NULL;

	if (order == NULL || c->waiting == 0 || c->asking_caps || order->waited == order->nwaits) {
		trouble(c, "a continuation request that nobody asked for");
		return;
	}
	order->waited++;
	say_part(c, order);
}

/* NULL, or what is wrong with a body that begins. */
static const char *
judge_body(const struct imap_client *c, const struct imap_item *item)
{
	const struct imap_order *order = c->running && c->waiting != 0 ? c->first : NULL;

	if (order == NULL || order->kind != ORDER_BODY || c->body_came)
		return "a message that nobody asked for";
	if (item->data.is_nil)
		return NULL;
	/* A server that does not know parts gives the whole: glued together these would be another message. */
	if (item->is_part != (order->len > 0) || (item->is_part && (item->origin != order->offset || item->data.size > order->len)))
		return "another part of a message than was asked for";
	return NULL;
}

static void
data_came(struct imap_client *c, const struct imap_item *item)
{
	const struct imap_untagged *data = &item->data;
	const char *wrong = NULL;

	if (data->kind == IMAP_EXISTS) {
		c->exists = data->number;
		if (c->responses_max < IMAP_RESPONSES_MAX + 4 * (uint64_t)c->exists)
			c->responses_max = IMAP_RESPONSES_MAX + 4 * (uint64_t)c->exists;
		c->exists_known = true;
	} else if (data->kind == IMAP_EXPUNGE && c->exists > 0) {
		c->exists--;
	} else if (data->kind == IMAP_BODY_BEGIN) {
		wrong = judge_body(c, item);
		c->body_came = c->body_in_fetch = true;
	}
	if (wrong == NULL && c->body_in_fetch && data->uid != 0 && data->uid != c->first->uid)
		wrong = "another message than was asked for";
	if (data->kind == IMAP_FETCH)
		c->body_in_fetch = false;
	if (wrong != NULL)
		trouble(c, wrong);
	else if (c->logged_in)
		c->ops->untagged(c->owner, data);
}

/* "UIDVALIDITY 7" in an untagged OK. */
static void
uidvalidity_came(struct imap_client *c, struct slice number)
{
	struct imap_untagged data = { .kind = IMAP_UIDVALIDITY };
	uint64_t n;

	if (!slice_number(number, &n) || n == 0 || n > UINT32_MAX) {
		trouble(c, "a UIDVALIDITY that is none");
		return;
	}
	data.number = (uint32_t)n;
	c->ops->untagged(c->owner, &data);
}

static void
bye_came(struct imap_client *c, struct slice text)
{
	char words[120];

	if (c->bye)
		return;
	put_text(words, sizeof(words), text);
	snprintf(c->bye_text, sizeof(c->bye_text), "the server said BYE: %s", words);
	c->bye = true;
	/* A command's answer may still stand behind it: as much as that is waited for. */
	if (c->phase < PHASE_READY || !c->running)
		trouble(c, c->bye_text);
}

static void
status_came(struct imap_client *c, const struct imap_item *item)
{
	struct slice words = item->code;

	if (item->status == IMAP_SAYS_BYE)
		bye_came(c, item->text);
	else if (item->status == IMAP_SAYS_PREAUTH)
		trouble(c, "PREAUTH where no greeting is");
	else if (item->status == IMAP_SAYS_OK && c->logged_in && slice_iis(slice_word(&words), "UIDVALIDITY"))
		uidvalidity_came(c, slice_trim(words));
}

static void
learn_caps(struct imap_client *c, const struct imap_item *item)
{
	struct slice words = item->kind == ITEM_CAPABILITY ? item->text : item->code;

	if (item->kind != ITEM_CAPABILITY && (item->status != IMAP_SAYS_OK || !slice_iis(slice_word(&words), "CAPABILITY")))
		return;
	imap_caps_read(&c->caps, words);
	c->caps_told = true;
}

/* RFC 3501 section 7.1 would have the user see it. But it may come from whoever stands between us and the server before
 * there is TLS, and in POP3 there is no place for it: the administrator reads it, once for each session. */
static void
alert_came(struct imap_client *c, const struct imap_item *item)
{
	struct slice code = item->code;
	char words[120];

	if (c->alerted || !slice_iis(slice_word(&code), "ALERT"))
		return;
	c->alerted = true;
	put_text(words, sizeof(words), item->text);
	log_warn("backend %s says ALERT: %s", c->backend->conf->name, words);
}

static void
item_came(struct imap_client *c, const struct imap_item *item)
{
	bool is_piece = item->kind == ITEM_DATA && item->data.kind == IMAP_BODY_DATA;

	if (!is_piece && ++c->responses > c->responses_max) {
		trouble(c, "too many responses");
		return;
	}
	if (item->kind == ITEM_STATUS || item->kind == ITEM_TAGGED || item->kind == ITEM_CAPABILITY)
		learn_caps(c, item);
	if (item->kind == ITEM_STATUS || item->kind == ITEM_TAGGED)
		alert_came(c, item);
	if (c->phase == PHASE_GREETING) {
		greeted(c, item);
		return;
	}
	switch (item->kind) {
	case ITEM_TAGGED:
		tagged(c, item);
		break;
	case ITEM_STATUS:
		status_came(c, item);
		break;
	case ITEM_CONTINUE:
		continued(c);
		break;
	case ITEM_DATA:
		data_came(c, item);
		break;
	case ITEM_CAPABILITY:
	case ITEM_OTHER:
		break;
	}
}

static void
read_on(struct imap_client *c)
{
	struct conn *conn = c->conn;
	struct imap_item item;
	char why[160];

	/* Each item may end the session or this connection: then c->conn is another one or none. The
	 * memory of both lives till the turn ends. */
	while (conn != NULL && c->conn == conn && !c->paused && c->phase != PHASE_TLS)
		switch (imap_parse_next(&c->parse, conn_in(conn), &item)) {
		case IMAP_STEP_MORE:
			if (conn_ended(conn))
				gone(c, NULL);
			return;
		case IMAP_STEP_BAD:
			snprintf(why, sizeof(why), "what the server says is no IMAP: %s", imap_parse_why(&c->parse));
			trouble(c, why);
			return;
		case IMAP_STEP_ITEM:
			item_came(c, &item);
			break;
		}
}

static void
on_input(void *owner)
{
	struct imap_client *c = owner;

	settle_deadline(c);
	read_on(c);
}

static void
on_lost(void *owner, const char *why)
{
	struct imap_client *c = owner;

	c->conn = NULL;
	gone(c, why);
}

/* Our own answer to an order, and what came in before a pause. */
static void
on_later(void *owner)
{
	struct imap_client *c = owner;
	struct conn *conn = c->conn;

	if (conn == NULL || c->paused)
		return;
	if (c->running && c->first->answered && c->waiting == 0)
		finish_order(c);
	if (c->conn == conn)
		read_on(c);
}

struct imap_client *
imap_client_open(struct loop *loop, struct backend *backend, const struct imap_client_ops *ops, void *owner)
{
	struct imap_client *c = mem_new(sizeof(*c));

	c->loop = loop;
	c->backend = backend;
	c->ops = ops;
	c->owner = owner;
	c->last = &c->first;
	c->later = (struct loop_task){ .run = on_later, .owner = c };
	c->waiter = (struct backend_waiter){ .known = on_known, .owner = c };
	timer_init(&c->deadline, loop, on_deadline, c);
	dial_next(c);
	return c;
}

const struct imap_caps *
imap_client_caps(const struct imap_client *c)
{
	return &c->caps;
}

const struct addr *
imap_client_addr(const struct imap_client *c)
{
	return &c->addr;
}

bool
imap_client_secure(const struct imap_client *c)
{
	return c->secure;
}

void
imap_client_pause(struct imap_client *c, bool paused)
{
	if (c->paused == paused)
		return;
	c->paused = paused;
	if (c->conn != NULL)
		conn_pause(c->conn, paused);
	settle_deadline(c);
	if (!paused)
		loop_at_turn_end(c->loop, &c->later);
}

void
imap_client_quit(struct imap_client **cp)
{
	struct imap_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->conn != NULL && c->phase == PHASE_READY && !c->running && !c->bye) {
		buf_puts(command(c), "LOGOUT\r\n");
		conn_bye(&c->conn);	/* nobody waits for the BYE, as smtp_backend_quit() for no 221 */
	}
	release(c);
}

void
imap_client_drop(struct imap_client **cp)
{
	if (*cp != NULL)
		release(*cp);
	*cp = NULL;
}
