/* libwebsockets, client and server, told what to do on stdin; see ../README.md. All of it is one event loop. */
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MAX_NAMES 8

struct frame {
	struct frame *next;
	enum { SEND, CLOSE } kind;
	int flags; /* of lws_write; of a Close its code */
	size_t size;
	unsigned char bytes[]; /* LWS_PRE of them are the library's */
};

/* An end of a connection, known by its number; on a server also before anybody has connected. */
struct end {
	struct end *next;
	char number[12];
	char protocol[64]; /* that was agreed on */
	struct lws_protocols protocols[MAX_NAMES + 2];
	char names[512];
	struct lws_vhost *vhost;
	struct lws *wsi;
	struct frame *first, *last; /* to be sent */
	struct frame *under_way;    /* which the compressor may still read from */
	int in_message;             /* a fragment has been sent and the last one has not */
	char *message;              /* as far as it has come */
	size_t message_size;
	int code; /* what is told at the end */
	char reason[124];
	int is_clean;
};

static struct lws_context *context;
static struct end *ends;
static const char *key_file, *cert_file;
static int stopped;

static int on_event(struct lws *wsi, enum lws_callback_reasons event, void *user, void *in, size_t size);

static const struct lws_extension deflate[] = {
	{ "permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_max_window_bits" },
	{ NULL, NULL, NULL },
};

static void tell_bytes(struct end *end, const char *verb, const char *bytes, size_t size, const char *rest)
{
	printf("%s %s ", end->number, verb);
	if (size == 0)
		putchar('-');
	for (size_t at = 0; at < size; at++)
		printf("%02x", (unsigned char)bytes[at]);
	printf("%s\n", rest);
	fflush(stdout);
}

static int digit(char character)
{
	return character <= '9' ? character - '0' : character - 'a' + 10;
}

static size_t read_hex(const char *word, unsigned char *to)
{
	size_t size = strlen(word) / 2;
	for (size_t at = 0; at < size; at++)
		to[at] = (unsigned char)(digit(word[2 * at]) << 4 | digit(word[2 * at + 1]));
	return size;
}

static void queue(struct end *end, int kind, int flags, const char *hex)
{
	struct frame *frame = malloc(sizeof *frame + LWS_PRE + strlen(hex) / 2 + 1);
	frame->next = NULL;
	frame->kind = kind;
	frame->flags = flags;
	frame->size = *hex == '-' ? 0 : read_hex(hex, frame->bytes + LWS_PRE);
	if (end->last)
		end->last->next = frame;
	else
		end->first = frame;
	end->last = frame;
	if (end->wsi)
		lws_callback_on_writable(end->wsi);
}

/* Sends one frame; what it returns is for the library. */
static int write_next(struct end *end)
{
	struct frame *frame = end->first;
	if (!frame)
		return 0;
	end->first = frame->next;
	if (!end->first)
		end->last = NULL;
	int result = 0;
	if (frame->kind == CLOSE) {
		end->code = frame->flags;
		memcpy(end->reason, frame->bytes + LWS_PRE, frame->size);
		end->reason[frame->size] = 0;
		end->is_clean = 1;
		lws_close_reason(end->wsi, (enum lws_close_status)frame->flags, frame->bytes + LWS_PRE, frame->size);
		result = -1;
	} else if (lws_write(end->wsi, frame->bytes + LWS_PRE, frame->size, frame->flags) < 0) {
		result = -1;
	}
	free(end->under_way);
	end->under_way = frame;
	if (end->first)
		lws_callback_on_writable(end->wsi);
	return result;
}

static void receive(struct end *end, struct lws *wsi, const char *in, size_t size)
{
	end->message = realloc(end->message, end->message_size + size + 1);
	memcpy(end->message + end->message_size, in, size);
	end->message_size += size;
	if (!lws_is_final_fragment(wsi))
		return;
	tell_bytes(end, lws_frame_is_binary(wsi) ? "binary" : "text", end->message, end->message_size, "");
	end->message_size = 0;
}

static void opened(struct end *end, struct lws *wsi)
{
	end->wsi = wsi;
	end->code = 1006;
	printf("%s open %s\n", end->number, *end->protocol ? end->protocol : "-");
	fflush(stdout);
	if (end->first)
		lws_callback_on_writable(wsi);
}

static void closed(struct end *end)
{
	char verb[20];
	end->wsi = NULL;
	snprintf(verb, sizeof verb, "closed %d", end->code);
	tell_bytes(end, verb, end->reason, strlen(end->reason), end->is_clean ? " clean" : " unclean");
}

static struct end *end_of(const char *number)
{
	for (struct end *end = ends; end; end = end->next)
		if (!strcmp(end->number, number))
			return end;
	struct end *end = calloc(1, sizeof *end);
	snprintf(end->number, sizeof end->number, "%s", number);
	end->next = ends;
	return ends = end;
}

/* The first protocol is for connections that have none. */
static void make_protocols(struct end *end, const char *names)
{
	static const struct lws_protocols base = { .callback = on_event, .rx_buffer_size = 65536 };
	int count = 0;
	snprintf(end->names, sizeof end->names, "%s", names);
	end->protocols[count] = base;
	end->protocols[count++].name = "none";
	if (*names == '-')
		return;
	for (char *name = strtok(end->names, ","); name && count <= MAX_NAMES; name = strtok(NULL, ",")) {
		end->protocols[count] = base;
		end->protocols[count++].name = name;
	}
}

static void make_vhost(struct end *end, int port, int is_secure, int has_deflate)
{
	struct lws_context_creation_info info = { 0 };
	info.vhost_name = end->number;
	info.port = port;
	info.iface = port == CONTEXT_PORT_NO_LISTEN ? NULL : "127.0.0.1";
	info.protocols = end->protocols;
	info.extensions = has_deflate ? deflate : NULL;
	info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.user = end;
	if (port == CONTEXT_PORT_NO_LISTEN) {
		info.client_ssl_ca_filepath = cert_file;
	} else if (is_secure) {
		info.ssl_cert_filepath = cert_file;
		info.ssl_private_key_filepath = key_file;
	}
	end->vhost = lws_create_vhost(context, &info);
}

static void connect_to(struct end *end, const char *url, const char *names, int has_deflate)
{
	struct lws_client_connect_info info = { 0 };
	char host[64];
	int is_secure = !strncmp(url, "wss:", 4);
	int port = 0;
	const char *place = strstr(url, "//") + 2;
	sscanf(place, "%63[^:]:%d", host, &port);
	make_protocols(end, names);
	make_vhost(end, CONTEXT_PORT_NO_LISTEN, is_secure, has_deflate);
	info.context = context;
	info.vhost = end->vhost;
	info.address = host;
	info.host = host;
	info.port = port;
	info.path = strchr(place, '/');
	info.protocol = *names == '-' ? NULL : names;
	info.local_protocol_name = "none";
	info.ssl_connection = is_secure ? LCCSCF_USE_SSL : 0;
	if (!lws_client_connect_via_info(&info) && !end->wsi)
		printf("%s failed connect\n", end->number), fflush(stdout);
}

static void listen_at(struct end *end, const char *transport, const char *names, int has_deflate)
{
	int is_secure = !strcmp(transport, "TLS");
	make_protocols(end, names);
	make_vhost(end, 0, is_secure, has_deflate);
	const char *scheme = is_secure ? "wss" : "ws";
	printf("%s listening %s://127.0.0.1:%d/\n", end->number, scheme, lws_get_vhost_listen_port(end->vhost));
	fflush(stdout);
}

static void perform(char *line)
{
	char *words[5] = { "", "", "", "", "" };
	int count = 0;
	for (char *word = strtok(line, " "); word && count < 5; word = strtok(NULL, " "))
		words[count++] = word;
	struct end *end = end_of(words[0]);
	const char *verb = words[1];
	if (!strcmp(verb, "connect")) {
		connect_to(end, words[2], words[3], !strcmp(words[4], "deflate"));
	} else if (!strcmp(verb, "listen")) {
		listen_at(end, words[2], words[3], !strcmp(words[4], "deflate"));
	} else if (!strcmp(verb, "text")) {
		queue(end, SEND, LWS_WRITE_TEXT, words[2]);
	} else if (!strcmp(verb, "binary")) {
		queue(end, SEND, LWS_WRITE_BINARY, words[2]);
	} else if (!strcmp(verb, "fragment")) {
		int first = !strcmp(words[2], "binary") ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
		int is_last = !strcmp(words[3], "last");
		int flags = end->in_message ? LWS_WRITE_CONTINUATION : first;
		queue(end, SEND, is_last ? flags : flags | LWS_WRITE_NO_FIN, words[4]);
		end->in_message = !is_last;
	} else if (!strcmp(verb, "ping")) {
		queue(end, SEND, LWS_WRITE_PING, words[2]);
	} else if (!strcmp(verb, "close")) {
		queue(end, CLOSE, atoi(words[2]), words[3]);
	} else if (!strcmp(verb, "terminate")) {
		end->code = 1006, end->reason[0] = 0, end->is_clean = 0;
		if (end->wsi)
			lws_set_timeout(end->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	} else if (!strcmp(verb, "end")) {
		lws_vhost_destroy(end->vhost);
	}
}

/* Reads what there is on stdin; the end of it is the end of the program. */
static void read_commands(void)
{
	static char *input;
	static size_t size;
	input = realloc(input, size + 65536 + 1);
	ssize_t added = read(0, input + size, 65536);
	if (added <= 0) {
		stopped = 1;
		return;
	}
	size += (size_t)added;
	for (char *newline; (newline = memchr(input, '\n', size));) {
		*newline = 0;
		size_t length = (size_t)(newline - input) + 1;
		char *line = strdup(input);
		memmove(input, input + length, size -= length);
		perform(line);
		free(line);
	}
}

static int on_event(struct lws *wsi, enum lws_callback_reasons event, void *user, void *in, size_t size)
{
	(void)user;
	struct lws_vhost *vhost = wsi ? lws_get_vhost(wsi) : NULL;
	struct end *end = vhost ? lws_vhost_user(vhost) : NULL;

	switch (event) {
	case LWS_CALLBACK_RAW_RX_FILE:
		read_commands();
		break;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0)
			snprintf(end->protocol, sizeof end->protocol, "%s", lws_get_protocol(wsi)->name);
		break;
	case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
		lws_hdr_copy(wsi, end->protocol, sizeof end->protocol, WSI_TOKEN_PROTOCOL);
		break;
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		opened(end, wsi);
		break;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		printf("%s failed %s\n", end->number, in ? (const char *)in : "connect");
		fflush(stdout);
		break;
	case LWS_CALLBACK_SERVER_WRITEABLE:
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_next(end);
	case LWS_CALLBACK_RECEIVE:
	case LWS_CALLBACK_CLIENT_RECEIVE:
		receive(end, wsi, in, size);
		break;
	case LWS_CALLBACK_RECEIVE_PONG:
	case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
		tell_bytes(end, "pong", in, size, "");
		break;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: {
		const unsigned char *body = in;
		end->is_clean = 1;
		end->code = size < 2 ? 1005 : body[0] << 8 | body[1];
		snprintf(end->reason, sizeof end->reason, "%.*s", size < 2 ? 0 : (int)size - 2, (const char *)body + 2);
		break;
	}
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLIENT_CLOSED:
		closed(end);
		break;
	default:
		break;
	}
	return 0;
}

int main(int count, char **arguments)
{
	struct lws_context_creation_info info = { 0 };
	struct end *control = end_of("0");
	(void)count;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* Should it loop, it does not see the end of stdin. */
	key_file = arguments[1];
	cert_file = arguments[2];
	lws_set_log_level(LLL_ERR, NULL);
	info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
	context = lws_create_context(&info);
	make_protocols(control, "-");
	make_vhost(control, CONTEXT_PORT_NO_LISTEN, 0, 0);
	lws_adopt_descriptor_vhost(control->vhost, LWS_ADOPT_RAW_FILE_DESC,
				   (lws_sock_file_fd_type){ .filefd = 0 }, "none", NULL);
	printf("0 peer libwebsockets %.*s\n", (int)strcspn(lws_get_library_version(), "-"), lws_get_library_version());
	fflush(stdout);
	while (!stopped && lws_service(context, 0) >= 0)
		;
	return 0;
}
