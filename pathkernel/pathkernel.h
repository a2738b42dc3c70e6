#pragma once

/// Everything that a program needs to train its own network and to write its predictions as sums over its training examples:
///
///     std::shared_ptr<Net> net = ...;                                        // a torch::nn::Module
///     std::unique_ptr<pathkernel::Model> model = pathkernel::wrap(net);
///     pathkernel::record_run(folder, manifest, *model, train, batches);      // trains, and records how
///     pathkernel::Ledger ledger = pathkernel::sweep(pathkernel::Recording::open(folder), *model, train, queries, options);
///     pathkernel::waterfall(ledger, 0);                                      // initial + Σ examples + … = final
///
/// tests/downstream/main.cpp is such a program. The rooms' other headers can be included one by one.

#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/pages.h>
#include <pathkernel/explain/predictions.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/module_model.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/sweep/sweep.h>
