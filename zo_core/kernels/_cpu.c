/* The CPU kernels as a Python extension; setup.py asks for the limited API.
 *
 * A model's tensors are described once, by prepare(); a pass over all of them is then one call,
 * made without the GIL.  zo_core/kernels/cpu.py is the only caller and says what arguments mean.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_passes.h"

static const char *const CAPSULE = "zo_core.kernels._cpu.Table";

typedef struct {
    Span *spans;
    Py_buffer *views; /* keep the tensors' memory where it is */
    int64_t num_spans, blocks;
} Table;

static void free_table(Table *table) {
    for (int64_t p = 0; p < table->num_spans; p++) PyBuffer_Release(&table->views[p]);
    PyMem_Free(table->views);
    PyMem_Free(table->spans);
    PyMem_Free(table);
}

static void free_capsule(PyObject *capsule) {
    free_table(PyCapsule_GetPointer(capsule, CAPSULE));
}

/* Fill one row of the table from (array, tensor_index, start). */
static int describe(PyObject *item, Py_buffer *view, Span *span) {
    PyObject *array;
    unsigned long long tensor;
    long long start;
    if (!PyArg_ParseTuple(item, "OKL", &array, &tensor, &start)) return -1;
    if (tensor > UINT32_MAX || start < 0) {
        PyErr_SetString(PyExc_ValueError, "tensor_index must be in [0, 2^32), start in [0, 2^63)");
        return -1;
    }
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_WRITABLE | PyBUF_FORMAT)) return -1;
    if (strcmp(view->format, "f") != 0 || view->ndim > MAX_DIMS) {
        PyBuffer_Release(view);
        PyErr_SetString(PyExc_TypeError, "the C kernels work on native float32 arrays");
        return -1;
    }
    const int flat = PyBuffer_IsContiguous(view, 'C');
    *span = (Span){view->buf, view->len / (int64_t)sizeof(float), start, (uint32_t)tensor,
                     view->ndim, view->shape, flat ? NULL : view->strides, 0};
    return 0;
}

static PyObject *prepare(PyObject *self, PyObject *items) {
    const Py_ssize_t n = PyList_Size(items);
    if (n < 0) return NULL;
    Table *table = PyMem_Calloc(1, sizeof *table);
    if (!table) return PyErr_NoMemory();
    table->spans = PyMem_Calloc((size_t)n + 1, sizeof *table->spans);
    table->views = PyMem_Calloc((size_t)n + 1, sizeof *table->views);
    int failed = !table->spans || !table->views;
    if (failed) PyErr_NoMemory();
    for (Py_ssize_t p = 0; p < n && !failed; p++) {
        failed = describe(PyList_GetItem(items, p), &table->views[p], &table->spans[p]);
        table->num_spans += !failed;
    }
    PyObject *capsule = failed ? NULL : PyCapsule_New(table, CAPSULE, free_capsule);
    if (!capsule) {
        free_table(table);
        return NULL;
    }
    table->blocks = number_blocks(table->spans, table->num_spans);
    return capsule;
}

static int read_term(PyObject *item, Term *term) {
    PyObject *seed;
    double scale;
    if (!PyArg_ParseTuple(item, "Od", &seed, &scale)) return -1;
    term->scale = (float)scale;
    term->seed = PyLong_AsUnsignedLongLong(seed);
    if (!PyErr_Occurred()) return 0;
    if (PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_Format(PyExc_ValueError, "seed must be in [0, 2^64), got %R", seed);
    return -1;
}

/* Read a sequence of (seed, scale) pairs; NULL and an error where it is not one. */
static Term *read_terms(PyObject *items, Py_ssize_t *n) {
    *n = PySequence_Size(items);
    if (*n < 0) return NULL;
    Term *terms = PyMem_Calloc((size_t)*n + 1, sizeof *terms);
    if (!terms) PyErr_NoMemory();
    for (Py_ssize_t j = 0; terms && j < *n; j++) {
        PyObject *item = PySequence_GetItem(items, j);
        if (!item || read_term(item, &terms[j])) {
            PyMem_Free(terms);
            terms = NULL;
        }
        Py_XDECREF(item);
    }
    return terms;
}

static PyObject *perturb(PyObject *self, PyObject *args) {
    PyObject *capsule, *items;
    long long threads;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "OOL", &capsule, &items, &threads)) return NULL;
    Table *table = PyCapsule_GetPointer(capsule, CAPSULE);
    Term *terms = table ? read_terms(items, &n) : NULL;
    if (!terms) return NULL;
    Pass pass = {.spans = table->spans, .num_spans = table->num_spans,
                 .on_tile = perturb_on_tile, .write = 1, .num_terms = n, .terms = terms};
    Py_BEGIN_ALLOW_THREADS
    run_pass(&pass, table->blocks, threads);
    Py_END_ALLOW_THREADS
    PyMem_Free(terms);
    return Py_NewRef(Py_None);
}

/* A list of (max_abs_k, zero_increments), one a span. */
static PyObject *list_of(const Stats *stats, int64_t n) {
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (int64_t p = 0; list && p < n; p++) {
        PyObject *row = Py_BuildValue("(LL)", (long long)stats[p].max_abs_k,
                                      (long long)stats[p].zero_increments);
        if (!row || PyList_SetItem(list, (Py_ssize_t)p, row)) Py_CLEAR(list);
    }
    return list;
}

static int bad_lengths(const Table *table, Py_ssize_t seeds, Py_ssize_t a, const Py_buffer *e) {
    int bad = seeds / 8 != a / 4;
    for (int64_t p = 0; e->buf && p < table->num_spans; p++)
        bad |= table->spans[p].tensor >= (uint64_t)e->len / 4;
    if (bad) PyErr_SetString(PyExc_ValueError, "one a for each seed, one exponent a tensor");
    return bad;
}

static PyObject *replay(PyObject *self, PyObject *args) {
    PyObject *capsule, *items, *result = NULL;
    Py_buffer seeds, a, exponents; /* uint64, int32, int32 or None */
    long long f, threads;
    float factor;
    int write;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "OOy*y*Lfz*pL", &capsule, &items, &seeds, &a, &f, &factor,
                          &exponents, &write, &threads))
        return NULL;
    Table *table = PyCapsule_GetPointer(capsule, CAPSULE);
    Term *terms = table ? read_terms(items, &n) : NULL;
    if (terms && !bad_lengths(table, seeds.len, a.len, &exponents)) {
        Stats *stats = PyMem_Calloc((size_t)table->num_spans + 1, sizeof *stats);
        Pass pass = {.spans = table->spans, .num_spans = table->num_spans,
                     .on_tile = replay_on_tile, .write = write, .num_terms = n, .terms = terms,
                     .directions = a.len / 4, .seeds = seeds.buf, .a = a.buf,
                     .exponents = exponents.buf, .f = f, .factor = factor, .stats = stats};
        if (stats) {
            Py_BEGIN_ALLOW_THREADS
            run_pass(&pass, table->blocks, threads);
            Py_END_ALLOW_THREADS
        }
        result = stats ? list_of(stats, table->num_spans) : PyErr_NoMemory();
        PyMem_Free(stats);
    }
    PyMem_Free(terms);
    PyBuffer_Release(&seeds);
    PyBuffer_Release(&a);
    if (exponents.obj) PyBuffer_Release(&exponents);
    return result;
}

/* Take the address of GOMP_parallel, or 0 to start threads of our own. */
static PyObject *use_team(PyObject *self, PyObject *address) {
    void *function = PyLong_AsVoidPtr(address);
    if (PyErr_Occurred()) return NULL;
    memcpy(&run_team, &function, sizeof run_team);
    return Py_NewRef(Py_None);
}

/* The names of the arithmetics that this processor can run, the fastest first. */
static PyObject *arithmetics(PyObject *self, PyObject *nothing) {
    Arithmetic found[3];
    const int n = find_arithmetics(found);
    PyObject *names = PyList_New(n);
    for (int i = 0; names && i < n; i++) {
        PyObject *name = PyUnicode_FromString(found[i].name);
        if (!name || PyList_SetItem(names, i, name)) Py_CLEAR(names);
    }
    return names;
}

/* Take one of them by its index; tests compare them. */
static PyObject *use_arithmetic(PyObject *self, PyObject *index) {
    Arithmetic found[3];
    const long at = PyLong_AsLong(index);
    if (PyErr_Occurred()) return NULL;
    if (at < 0 || at >= find_arithmetics(found)) {
        PyErr_SetString(PyExc_IndexError, "this processor has no arithmetic of that index");
        return NULL;
    }
    arithmetic = found[at];
    return Py_NewRef(Py_None);
}

static PyMethodDef METHODS[] = {
    {"prepare", prepare, METH_O, NULL},
    {"perturb", perturb, METH_VARARGS, NULL},
    {"replay", replay, METH_VARARGS, NULL},
    {"use_team", use_team, METH_O, NULL},
    {"arithmetics", arithmetics, METH_NOARGS, NULL},
    {"use_arithmetic", use_arithmetic, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, .m_name = "_cpu", .m_size = 0, .m_methods = METHODS, .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__cpu(void) {
    Arithmetic found[3];
    find_arithmetics(found);
    arithmetic = found[0];
    return PyModuleDef_Init(&MODULE);
}
