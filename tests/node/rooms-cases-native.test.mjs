// The matrix of tests/gate_cases.json, asked with our own Room.

import { matrix } from './support/matrix.mjs';

matrix('native');
