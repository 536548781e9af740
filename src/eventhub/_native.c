/* The fan-out's inner loop: one send(2) a subscriber, with the GIL released.

   A Pipe is a connection's way out and is called like its transport's `write`. `write_all(writes, data, begin, end)` writes the same bytes to many: where
   a pipe's transport holds nothing, straight to the socket; what the socket does not take goes to the transport, which keeps it, waits for
   room and tells its protocol, as ever. Nothing can be overtaken: while the transport holds bytes, everything goes to the transport.
   What one of them raises keeps no other from its bytes: it is in the list that `write_all` returns, with the one that raised it.

   Between `hold` and `release` a pipe keeps what it is given, up to HELD_AT_MOST bytes, so that one system call sends all of it.

   The transport owns the descriptor. `close` must be called before the transport gives it up (asyncio: in `connection_lost`), because its
   number may then belong to a stranger. Not for TLS, where the transport changes the bytes. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sys/socket.h>

#define DIRECT_AT_ONCE 256
#define FETCHED_AHEAD 8 /* pipes; the kernel's work for a thousand sockets leaves none of them in the cache */
#define HELD_AT_MOST 16384

typedef struct {
    PyObject_HEAD
    PyObject *transport; /* NULL: closed */
    PyObject *held;      /* bytes; NULL: nothing is held */
    int fd;
    char dirty;          /* the transport may hold bytes */
    char taken;          /* in the batch that is about to be sent */
} Pipe;

static PyTypeObject *pipe_type;
static PyObject *name_write, *name_buffered;

static int pipe_clear(PyObject *object) {
    Py_CLEAR(((Pipe *)object)->transport);
    Py_CLEAR(((Pipe *)object)->held);
    return 0;
}

static int pipe_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    Pipe *self = (Pipe *)object;
    PyObject *transport;
    static char *names[] = {"transport", "descriptor", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi", names, &transport, &self->fd)) return -1;
    pipe_clear(object);
    self->transport = Py_NewRef(transport);
    self->dirty = 1;
    return 0;
}

static int pipe_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Pipe *)object)->transport);
    return 0;
}

static void pipe_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    pipe_clear(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static int done(PyObject *result) {
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 0;
}

static int to_transport(Pipe *self, PyObject *data);

static int release_held(Pipe *self) {
    PyObject *held = self->held;
    self->held = NULL;
    int failed = held != NULL && PyBytes_Size(held) > 0 ? to_transport(self, held) : 0;
    Py_XDECREF(held);
    return failed;
}

static int hold_more(Pipe *self, PyObject *data) {
    PyBytes_Concat(&self->held, data); /* NULL on error */
    if (self->held == NULL) return -1;
    return PyBytes_Size(self->held) > HELD_AT_MOST ? release_held(self) : 0;
}

static int to_transport(Pipe *self, PyObject *data) {
    if (self->transport == NULL) return 0;
    if (self->held != NULL) return hold_more(self, data);
    self->dirty = 1;
    return done(PyObject_CallMethodObjArgs(self->transport, name_write, data, NULL));
}

/* 1: the socket may be written to. 0: it may not. -1: an error is set. */
static int is_direct(Pipe *self) {
    if (self->transport == NULL || self->held != NULL) return 0;
    if (!self->dirty) return 1;
    PyObject *size = PyObject_CallMethodObjArgs(self->transport, name_buffered, NULL);
    if (size == NULL) return -1;
    Py_ssize_t held = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (held == -1 && PyErr_Occurred()) return -1;
    self->dirty = held != 0;
    return !self->dirty;
}

static PyObject *pipe_call(PyObject *object, PyObject *args, PyObject *kwargs) {
    PyObject *data;
    if (kwargs != NULL) return PyErr_Format(PyExc_TypeError, "expected data alone");
    if (!PyArg_ParseTuple(args, "O", &data) || to_transport((Pipe *)object, data) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *pipe_close(PyObject *object, PyObject *unused) {
    pipe_clear(object);
    Py_RETURN_NONE;
}

static PyObject *pipe_hold(PyObject *object, PyObject *unused) {
    Pipe *self = (Pipe *)object;
    if (self->held == NULL && (self->held = PyBytes_FromStringAndSize(NULL, 0)) == NULL) return NULL;
    Py_RETURN_NONE;
}

static PyObject *pipe_release(PyObject *object, PyObject *unused) {
    if (release_held((Pipe *)object) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef pipe_methods[] = {
    {"close", pipe_close, METH_NOARGS, "Take nothing any more: the descriptor is about to be given up."},
    {"hold", pipe_hold, METH_NOARGS, "Keep what is written until `release`, or until it is much."},
    {"release", pipe_release, METH_NOARGS, "Write what was held."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pipe_slots[] = {
    {Py_tp_doc, "Pipe(transport, descriptor): a connection's way out, called like the transport's `write`."},
    {Py_tp_init, pipe_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_traverse, pipe_traverse},
    {Py_tp_clear, pipe_clear},
    {Py_tp_dealloc, pipe_dealloc},
    {Py_tp_call, pipe_call},
    {Py_tp_methods, pipe_methods},
    {0, NULL},
};

static PyType_Spec pipe_spec = {
    .name = "eventhub._native.Pipe",
    .basicsize = sizeof(Pipe),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = pipe_slots,
};

typedef struct {
    Pipe *pipes[DIRECT_AT_ONCE]; /* owned */
    Py_ssize_t count;
    PyObject *failures;          /* of what raised: a list of (write, exception) */
} Batch;

/* Move the exception that `write` raised to the failures. -1: it is none that may be kept from the caller, or there is no memory. */
static int note_failure(Batch *batch, PyObject *write) {
    PyObject *type, *value, *trace;
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL) PyException_SetTraceback(value, trace);
    PyObject *failure = PyTuple_Pack(2, write, value);
    int failed = failure == NULL || PyList_Append(batch->failures, failure) < 0;
    Py_XDECREF(failure);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return failed ? -1 : 0;
}

/* Write to the batch's sockets, then give what they did not take to their transports. Empties the batch, also on error. */
static int send_batch(Batch *batch, const char *bytes, Py_ssize_t length) {
    int fds[DIRECT_AT_ONCE];
    Py_ssize_t sent[DIRECT_AT_ONCE];
    int failed = 0;
    for (Py_ssize_t i = 0; i < batch->count; i++) fds[i] = batch->pipes[i]->fd;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < batch->count; i++) sent[i] = send(fds[i], bytes, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < batch->count; i++) {
        Pipe *pipe = batch->pipes[i];
        pipe->taken = 0;
        Py_ssize_t taken = sent[i] < 0 ? 0 : sent[i]; /* whatever the error is, the transport will meet it, too */
        if (taken < length && !failed) {
            PyObject *rest = PyBytes_FromStringAndSize(bytes + taken, length - taken);
            failed = (rest == NULL || to_transport(pipe, rest) < 0) && note_failure(batch, (PyObject *)pipe) < 0;
            Py_XDECREF(rest);
        }
        Py_DECREF((PyObject *)pipe);
    }
    batch->count = 0;
    return failed ? -1 : 0;
}

static int write_one(Batch *batch, PyObject *write, PyObject *data, const char *bytes, Py_ssize_t length) {
    if (!Py_IS_TYPE(write, pipe_type)) {
        return done(PyObject_CallFunctionObjArgs(write, data, NULL)) < 0 ? note_failure(batch, write) : 0;
    }
    Pipe *pipe = (Pipe *)write;
    if ((batch->count == DIRECT_AT_ONCE || pipe->taken) && send_batch(batch, bytes, length) < 0) return -1;
    int direct = is_direct(pipe);
    if (direct < 0) return note_failure(batch, write);
    if (!direct) return to_transport(pipe, data) < 0 ? note_failure(batch, write) : 0;
    pipe->taken = 1;
    batch->pipes[batch->count++] = (Pipe *)Py_NewRef(write);
    return 0;
}

static PyObject *write_all(PyObject *module, PyObject *args) {
    PyObject *writes, *data;
    char *bytes;
    Py_ssize_t length, begin = 0, end = PY_SSIZE_T_MAX;
    Batch batch = {.count = 0};
    int failed = 0;
    if (!PyArg_ParseTuple(args, "O!S|nn", &PyList_Type, &writes, &data, &begin, &end)) return NULL;
    if (begin < 0) return PyErr_Format(PyExc_ValueError, "begin is %zd; expected 0 or more", begin);
    if (PyBytes_AsStringAndSize(data, &bytes, &length) < 0) return NULL;
    if ((batch.failures = PyList_New(0)) == NULL) return NULL;
    for (Py_ssize_t i = begin; i < end && i < PyList_Size(writes) && !failed; i++) {
        if (i + FETCHED_AHEAD < PyList_Size(writes)) __builtin_prefetch(PyList_GetItem(writes, i + FETCHED_AHEAD), 1);
        PyObject *write = Py_NewRef(PyList_GetItem(writes, i));
        failed = write_one(&batch, write, data, bytes, length) < 0;
        Py_DECREF(write);
    }
    if (failed) { /* those before it in the list have theirs all the same */
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        if (send_batch(&batch, bytes, length) < 0) PyErr_Clear();
        PyErr_Restore(type, value, trace);
    } else {
        failed = send_batch(&batch, bytes, length) < 0;
    }
    if (failed) Py_CLEAR(batch.failures);
    return batch.failures;
}

static PyMethodDef functions[] = {
    {"write_all", write_all, METH_VARARGS, "write_all(writes, data, begin=0, end=sys.maxsize): call each of a part of a list with the bytes; those that raised."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    name_write = PyUnicode_InternFromString("write");
    name_buffered = PyUnicode_InternFromString("get_write_buffer_size");
    pipe_type = (PyTypeObject *)PyType_FromSpec(&pipe_spec);
    if (!name_write || !name_buffered || !pipe_type || PyModule_AddObjectRef(module, "Pipe", (PyObject *)pipe_type) < 0) return NULL;
    return module;
}
